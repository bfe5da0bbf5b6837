//! Sets of named things in a policy: the defects it has, the verbs it lacks.

/// Defines an enum and the set of its values; both are plain data, the set is one number.
macro_rules! set {
    ($(#[doc = $doc:literal])+ $set:ident of $item:ident { $($body:tt)+ }) => {
        /// An entry of
        #[doc = concat!("[`", stringify!($set), "`].")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[derive(strum::Display, strum::EnumMessage, strum::EnumString, strum::IntoStaticStr)]
        #[derive(strum::VariantArray, strum::VariantNames)]
        #[strum(serialize_all = "snake_case")]
        pub enum $item { $($body)+ }

        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub struct $set(u128);

        const _: () = assert!(<$item as strum::VariantArray>::VARIANTS.len() <= 128, "a set is one number");

        impl $set {
            /// The set with nothing in it.
            pub const NONE: Self = Self(0);

            /// The set of these.
            pub const fn of(items: &[$item]) -> Self {
                Self::NONE.with(items)
            }

            /// This set and these.
            pub const fn with(self, items: &[$item]) -> Self {
                Self(self.0 | Self::bits(items))
            }

            /// This set but these.
            pub const fn without(self, items: &[$item]) -> Self {
                Self(self.0 & !Self::bits(items))
            }

            /// Whether it has this one.
            pub const fn has(self, item: $item) -> bool {
                self.0 & (1 << item as u32) != 0
            }

            /// Whether it has none.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// What is in it, in the order of the enum.
            pub fn iter(self) -> impl Iterator<Item = $item> {
                <$item as strum::VariantArray>::VARIANTS.iter().copied().filter(move |item| self.has(*item))
            }

            const fn bits(items: &[$item]) -> u128 {
                let mut bits = 0;
                let mut idx = 0;
                while idx < items.len() {
                    bits |= 1 << items[idx] as u32;
                    idx += 1;
                }
                bits
            }
        }

        /// As policies spell it: `B15, B21`, or `none`.
        impl std::fmt::Display for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                if self.is_empty() {
                    return f.write_str("none");
                }
                for (idx, item) in self.iter().enumerate() {
                    write!(f, "{}{item}", if idx == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    };
}
pub(super) use set;
