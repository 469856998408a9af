//! What an operator writes, typed.
