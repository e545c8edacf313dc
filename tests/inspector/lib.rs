//! The inspector's page in a browser: a package for its test alone, whose dependencies are nobody else's.
