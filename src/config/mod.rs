//! UCI text → [`Config`].
pub mod uci;
mod word;
