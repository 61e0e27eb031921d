//! `strongroom audit`: whether the record of what was done is whole, and its last lines.

mod journals;
#[cfg(test)]
mod tests;
mod walk;
