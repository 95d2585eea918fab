//! Whose signed tickets are good: read at start, and again when the server is told to.

use std::io;
use std::sync::Arc;

use hallway_broker::hub::Hub;

use crate::config::{Config, Pretix};

fn configured(config: &Config) -> impl Iterator<Item = (&str, &Pretix)> {
    config.conference.iter().filter_map(|(id, conference)| Some((id.as_str(), conference.pretix.as_ref()?)))
}

/// Whether all of it could be read.
///
/// # Errors
/// What cannot be.
pub fn look(config: &Config) -> io::Result<()> {
    configured(config).try_for_each(|(_, pretix)| pretix.signers().map(drop))
}

/// What each conference has configured of them.
pub struct Tickets {
    hub: Arc<Hub>,
    shops: Vec<(String, Pretix)>,
}

impl Tickets {
    /// Reads all of it.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn open(hub: &Arc<Hub>, config: &Config) -> io::Result<Self> {
        let shops = configured(config).map(|(id, pretix)| (id.to_owned(), pretix.clone()));
        let tickets = Self { hub: Arc::clone(hub), shops: shops.collect() };
        for (id, pretix) in &tickets.shops {
            tickets.read(id, pretix)?;
        }
        Ok(tickets)
    }

    fn read(&self, id: &str, pretix: &Pretix) -> io::Result<()> {
        self.hub.set_ticket_signers(id.to_owned(), pretix.signers()?);
        Ok(())
    }

    /// Reads the revocation lists again; of a conference whose list is broken the one of before stays. Each conference with what came of it.
    pub fn reload(&self) -> impl Iterator<Item = (&str, io::Result<()>)> {
        let with_list = self.shops.iter().filter(|(_, pretix)| pretix.revoked_file.is_some());
        with_list.map(|(id, pretix)| (id.as_str(), self.read(id, pretix)))
    }
}

#[cfg(test)]
mod tests {
    use hallway_broker::badges::contents::pretix::Verdict;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_list_is_read_again_and_a_broken_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("revoked.csv");
        std::fs::write(&file, "one\n").unwrap();
        let mut config = Config::default();
        config.store.path = dir.path().join("data");
        config.limits.disk_reserve_bytes = 0;
        let conference = config.conference.entry("demo".to_owned()).or_default();
        // Ed25519's base point: any key will do.
        let public_keys = vec!["WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=".to_owned()];
        conference.pretix = Some(Pretix { public_keys, revoked_file: Some(file.clone()) });
        let hub = crate::serve::open(&config).unwrap();
        let tickets = Tickets::open(&hub, &config).unwrap();
        let revoked = |code: &str| hub.ticket_signers("demo").unwrap().verdict(code, 0) == Verdict::Revoked;
        let reload = || tickets.reload().map(|(id, read)| (id.to_owned(), read.is_ok())).collect::<Vec<_>>();
        assert_eq!((revoked("one"), revoked("two")), (true, false));
        std::fs::write(&file, "one\ntwo\n").unwrap();
        assert_eq!(reload(), [("demo".to_owned(), true)]);
        assert_eq!((revoked("one"), revoked("two")), (true, true));
        std::fs::write(&file, b"three\n\xff").unwrap();
        assert_eq!(reload(), [("demo".to_owned(), false)], "not UTF-8");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(reload(), [("demo".to_owned(), false)], "gone");
        assert_eq!((revoked("one"), revoked("two"), revoked("three")), (true, true, false));
        hub.close();
    }
}
