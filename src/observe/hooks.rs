//! Closures for the quick case.

use std::{fmt, sync::Arc};

use crate::{
    Connection, ConnectionSummary, Data, Disconnect, End, Failure, Finish, Interest, Listener,
    Observer, RequestClose, RequestHead, ResponseHead, Summary, UpgradeSummary,
};

macro_rules! hooks {
    (
        exchange { $($(#[$doc:meta])* $hook:ident: $argument:ty, $interest:expr;)+ }
        connection { $($(#[$about:meta])* $of:ident: $what:ty, $more:expr;)+ }
    ) => {
        /// An observer made of closures, for the quick case.
        ///
        /// The closures are shared by all exchanges; what belongs to one exchange is in what they are handed. For a
        /// value of your own for each exchange implement [`Observer`]. Only what has a closure is paid for.
        ///
        /// ```
        /// use tower_lifecycle::{Hooks, LifecycleLayer};
        ///
        /// let layer = LifecycleLayer::new(Hooks::new().on_close(|summary| {
        ///     println!("{} {:?}: {}", summary.method, summary.uri, summary.close);
        /// }));
        /// ```
        pub struct Hooks(Arc<Closures>);

        /// The state of [`Hooks`] for one exchange: its closures, shared.
        #[derive(Debug)]
        pub struct HooksState(Arc<Closures>);

        struct Closures {
            more: Interest,
            $($hook: Option<Box<dyn Fn($argument) + Send + Sync>>,)+
            $($of: Option<Box<dyn Fn($what) + Send + Sync>>,)+
        }

        impl Hooks {
            /// Without a closure, which observes nothing.
            pub fn new() -> Self {
                Self(Arc::new(Closures {
                    more: Interest::NONE,
                    $($hook: None,)+
                    $($of: None,)+
                }))
            }

            /// Asks for more than the closures do, such as [`Interest::WAITS`] for what `on_close` is handed.
            ///
            /// # Panics
            /// While a [`HooksState`] of it is alive. A `Hooks` that no layer has yet has none.
            pub fn with_interest(mut self, more: Interest) -> Self {
                self.closures().more |= more;
                self
            }

            fn closures(&mut self) -> &mut Closures {
                Arc::get_mut(&mut self.0).expect("shared only by states, which a layer makes")
            }

            $(
                $(#[$doc])*
                #[doc = concat!("\n\nCalled when [`Listener::", stringify!($hook), "`] is; a second closure replaces the first.\n\n# Panics\nWhile a [`HooksState`] of it is alive. A `Hooks` that no layer has yet has none.")]
                pub fn $hook(mut self, hook: impl Fn($argument) + Send + Sync + 'static) -> Self {
                    self.closures().$hook = Some(Box::new(hook));
                    self
                }
            )+

            $(
                $(#[$about])*
                #[doc = concat!("\n\nCalled when [`Observer::", stringify!($of), "`] is; a second closure replaces the first.\n\n# Panics\nWhile a [`HooksState`] of it is alive. A `Hooks` that no layer has yet has none.")]
                pub fn $of(mut self, hook: impl Fn($what) + Send + Sync + 'static) -> Self {
                    self.closures().$of = Some(Box::new(hook));
                    self
                }
            )+
        }

        impl Default for Hooks {
            fn default() -> Self {
                Self::new()
            }
        }

        impl Observer for Hooks {
            type State = HooksState;

            fn interest(&self) -> Interest {
                let mut interest = self.0.more;
                $(if self.0.$hook.is_some() { interest |= $interest; })+
                $(if self.0.$of.is_some() { interest |= $more; })+
                interest
            }

            fn begin(&self, _: &RequestHead<'_>) -> Option<Self::State> {
                Some(HooksState(Arc::clone(&self.0)))
            }

            $(fn $of(&self, argument: $what) {
                if let Some(hook) = &self.0.$of {
                    hook(argument);
                }
            })+
        }

        impl Listener for HooksState {
            $(fn $hook(&mut self, argument: $argument) {
                if let Some(hook) = &self.0.$hook {
                    hook(argument);
                }
            })+
        }

        impl fmt::Debug for Hooks {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple("Hooks").field(&self.0).finish()
            }
        }

        impl fmt::Debug for Closures {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut set = f.debug_set();
                $(if self.$hook.is_some() { set.entry(&format_args!(stringify!($hook))); })+
                $(if self.$of.is_some() { set.entry(&format_args!(stringify!($of))); })+
                set.finish()
            }
        }
    };
}

hooks! {
    exchange {
        /// The peer is gone while the exchange is alive.
        on_disconnect: Disconnect, Interest::DISCONNECT;
        /// A data frame of the request passed.
        on_request_data: Data, Interest::REQUEST_DATA;
        /// The request was fully read.
        on_request_end: &End<'_>, Interest::REQUEST_END;
        /// The request body failed.
        on_request_error: &Failure<'_>, Interest::REQUEST_ERROR;
        /// Nothing more will happen on the request side.
        on_request_close: RequestClose, Interest::REQUEST_CLOSE;
        /// The service returned a response.
        on_response: &ResponseHead<'_>, Interest::RESPONSE;
        /// A data frame of the response passed.
        on_response_data: Data, Interest::RESPONSE_DATA;
        /// The response is complete.
        on_response_end: &End<'_>, Interest::RESPONSE_END;
        /// The service or the response body failed.
        on_response_error: &Failure<'_>, Interest::RESPONSE_ERROR;
        /// The response was handed over.
        on_finish: Finish, Interest::FINISH;
        /// The exchange is over; the summary has times, the request's target, and trailers.
        on_close: &Summary, Interest::CLOSE | Interest::MARKS | Interest::URI | Interest::TRAILERS;
    }

    connection {
        /// A connection was accepted.
        on_connection_open: &Connection, Interest::CONNECTION;
        /// A connection is over; the summary has its duration.
        on_connection_close: &ConnectionSummary, Interest::CONNECTION | Interest::MARKS;
        /// The task of an upgraded stream is over.
        on_upgrade_close: &UpgradeSummary, Interest::CONNECTION | Interest::MARKS;
    }
}
