//! Pushes that wait: what is counted is what a count gives.

use super::Walk;
use crate::ids::ConfNo;
use crate::keys;
use crate::model::PushState;
use crate::state::StateError;

impl Walk<'_> {
    /// Counts what is to be tried again, and looks that no dead letter's number can be given again.
    pub(super) fn check_push_counts(&mut self, conf: ConfNo) -> Result<(), StateError> {
        let state: PushState = self.get(&keys::push_state(conf))?.unwrap_or_default();
        let (mut rows, mut last) = (0_u64, 0);
        self.scan(&keys::all_push_rows(conf), &mut |_, _| rows += 1)?;
        self.scan(&keys::dead_letters(conf), &mut |key, _| last = keys::number_of_letter(key))?;
        let id = self.conferences.get(&conf).map_or_else(String::new, |checked| checked.id.clone());
        if rows != state.rows {
            self.report.problem(format!("conference {id}: {rows} pushes are to be tried again, but it counts {}", state.rows));
        }
        if last > state.letters {
            self.report
                .problem(format!("conference {id}: the last push that was given up is number {last}, but it counts {}", state.letters));
        }
        Ok(())
    }
}
