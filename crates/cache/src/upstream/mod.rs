//! Where the bytes come from: the closed set of upstream kinds.
