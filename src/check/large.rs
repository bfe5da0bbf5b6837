//! What must hold of large folios beyond their counts.

use super::invariants::Broken;
use crate::state::State;
use crate::types::{Number, Size};

/// I24: a folio that is said to be one address space's own is mapped by no other.
pub(super) fn owners<B: Size>(st: &State<B>) -> Option<Broken> {
    st.slots().find_map(|(proc, vpn, slot)| {
        let page = slot.pte.target.pfn().filter(|page| st.folio(*page).is_large())?;
        let large = st.large(page);
        let mine =
            large.owners.iter().any(|owner| owner.proc == proc && owner.count == large.mapcount && 0 < owner.count.get());
        if large.maybe_shared || mine { None } else { Broken::at(24, proc, vpn) }
    })
}
