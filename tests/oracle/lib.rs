//! Node as the oracle: a package for its test alone, whose dependencies are nobody else's.
