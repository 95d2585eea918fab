//! Push, from a message to the gateway: what is pushed to whom, how gateways that fail are lived with, and what survives SIGKILL. The gateways are
//! fakes that take nothing that is not strictly valid ([`crate::gateway`]).
//!
//! - [`stage`]: server, gateways, people, and how it is seen that nothing came.
//! - [`away`]: the story of each provider. [`whom`]: channels, mentions, groups, settings, sessions, protocols. [`jabber`]: registered
//!   by a Jabber client itself. [`leaving`]: those who are no longer there.
//! - [`answers`]: gone, refused, later, down. [`crowd`]: announcements to thousands, and long queues.
//! - [`crash`]: SIGKILL at random moments. [`hostile`]: registrations and receivers that mean harm.

mod answers;
mod away;
mod crash;
mod crowd;
mod hostile;
mod jabber;
mod leaving;
mod stage;
mod whom;

use super::Report;

/// Stories at once, each with a server of its own: they mostly wait.
const AT_ONCE: usize = 5;

/// All of it; the server is killed so many times; `long`: with thousands more.
pub fn run(kills: usize, seed: u64, long: bool, report: &mut Report) {
    let stories = [away::stories(), whom::stories(), leaving::stories(), jabber::stories(), answers::stories(), hostile::stories()];
    report.check_together(AT_ONCE, stories.into_iter().flatten().collect());
    hostile::run(report);
    crowd::run(long, report);
    crash::run(kills, seed, report);
}
