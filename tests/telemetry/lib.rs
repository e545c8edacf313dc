//! OpenTelemetry's conventions as the judge: a package for its test alone, whose dependencies are nobody else's.
