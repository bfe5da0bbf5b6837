//! What is read, what is refused, and how it is laid out.

mod examples;
mod layout;
mod mistakes;
