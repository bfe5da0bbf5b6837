//! What is read, what is refused, and how it is laid out.

mod any_text;
mod examples;
mod layout;
mod mistakes;
mod rules;
