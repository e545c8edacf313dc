//! The words that processes and people share.

use std::str::FromStr;

use crate::Failed;

/// Gives each variant its word, for processes and for people.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$each:meta])* $variant:ident = $word:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type {
            $($(#[$each])* $variant,)+
        }

        impl $type {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $type {
            type Err = Failed;

            fn from_str(word: &str) -> Result<Self, Failed> {
                let mut all = Self::ALL.iter().copied();
                all.find(|each| each.name() == word).ok_or_else(|| word.into())
            }
        }
    };
}

words! {
    /// What a client has sent before it waits.
    Shape {
        Poll = "poll";
        /// One more byte lies behind the request: hyper keeps it and stops reading.
        Pipelined = "poll + 1 byte";
        /// The handler holds the body and does not read it, and so neither does hyper.
        HalfBody = "half a body";
    }
}

words! {
    /// How a client leaves.
    Way {
        Fin = "FIN";
        Rst = "RST";
    }
}

words! {
    /// What stands between axum and the handler.
    Subject {
        Bare = "bare axum";
        /// `Router::layer` with a layer that wraps bodies and future for nothing.
        PassThrough = "layer, pass-through";
        /// `Router::layer`, all hooks counting.
        Layer = "layer";
        /// The connection too.
        Seam = "seam";
        /// The same, with times, URI, trailers and a handle.
        SeamHandle = "seam, all, handle";
        /// The handler is dropped when its client has left.
        SeamCancel = "seam, cancel";
    }
}

impl Subject {
    /// Clients of it leave one by one. Of the others the memory is enough.
    pub(crate) const fn leaves(self) -> bool {
        matches!(self, Self::Bare | Self::Seam | Self::SeamCancel)
    }

    /// `on_close` is heard.
    pub(crate) const fn is_observed(self) -> bool {
        !matches!(self, Self::Bare | Self::PassThrough)
    }
}
