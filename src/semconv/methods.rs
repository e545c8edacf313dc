//! Methods of low cardinality.

use std::sync::Arc;

use http::Method;

use super::Text;

/// The known methods: those of RFC 9110 and RFC 5789, and `QUERY`, which the conventions know since 1.38.
const DEFAULT: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "QUERY", "TRACE", "CONNECT"];

/// What stands for all others.
pub(super) const OTHER: &str = "_OTHER";

/// The variable that replaces them: a list with commas.
pub(super) const VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

#[derive(Clone, Debug)]
pub(super) struct Methods(Arc<[Text]>);

impl Default for Methods {
    fn default() -> Self {
        Self(DEFAULT.map(Text::Static).into())
    }
}

impl Methods {
    /// By a list with commas; the default where it names none.
    pub(super) fn listed(list: &str) -> Self {
        let methods: Vec<_> =
            list.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
        if methods.is_empty() { Self::default() } else { methods.into_iter().collect() }
    }

    /// `None` where it is not known.
    pub(super) fn known(&self, method: &Method) -> Option<&Text> {
        self.0.iter().find(|known| known.as_str() == method.as_str())
    }
}

impl<M: Into<String>> FromIterator<M> for Methods {
    fn from_iter<I: IntoIterator<Item = M>>(methods: I) -> Self {
        let text = |method: String| {
            let known = DEFAULT.iter().find(|known| **known == method);
            known.map_or_else(|| Text::from(method.clone()), |known| Text::Static(known))
        };
        Self(methods.into_iter().map(M::into).map(text).collect())
    }
}
