//! Files that are attached to messages: who brought how much, how many messages each is in, and since when it is in none. The bytes are not here
//! ([`crate::files`]): a record that goes takes the right to read them along.

use std::sync::Arc;

use super::{Applied, Ask, Stop};
use crate::command::{NewFile, Outcome};
use crate::files::{attachment, capability_in};
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{MAX_FILES, MAX_STEP};
use crate::model::{File, FileId, Uploads};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::View;

pub(super) fn keep(view: &mut View<'_>, ask: Ask<'_>, id: FileId, new: &NewFile) -> Applied {
    ask.author(view)?;
    let owner = &ask.actor.uid;
    if view.has(&keys::file(ask.conf, id))? {
        return Err(Reason::Taken.into());
    }
    let is_over = |sum: Uploads, quota: u64| quota > 0 && sum.bytes.saturating_add(new.bytes) > quota;
    let own: Uploads = view.get(&keys::uploads(ask.conf, owner))?.unwrap_or_default();
    let all: Uploads = view.get(&keys::uploads_of_all(ask.conf))?.unwrap_or_default();
    if own.files >= MAX_FILES || is_over(own, new.quota_bytes) || is_over(all, new.conference_bytes) {
        return Err(Reason::FilesFull.into());
    }
    for (key, sum) in [(keys::uploads(ask.conf, owner), own), (keys::uploads_of_all(ask.conf), all)] {
        view.put(key, &Uploads { files: sum.files.saturating_add(1), bytes: sum.bytes + new.bytes });
    }
    let NewFile { name, media, bytes, crc, size, .. } = new.clone();
    let (at_ms, unused_ms) = (ask.at_ms, ask.at_ms);
    let file = File { owner: owner.clone(), name, media, bytes, crc, size, at_ms, uses: 0, unused_ms };
    view.put(keys::file(ask.conf, id), &file);
    view.put(keys::user_file(ask.conf, owner, id), &());
    view.put(keys::unused_file(ask.conf, unused_ms, id), &());
    Ok(Outcome::Done)
}

/// A file goes out of one of the sums that it is in.
fn take_out(view: &mut View<'_>, of: keys::Key, file: &File) -> Result<(), StateError> {
    let sum: Uploads = view.get(&of)?.unwrap_or_default();
    view.put(of, &Uploads { files: sum.files.saturating_sub(1), bytes: sum.bytes.saturating_sub(file.bytes) });
    Ok(())
}

/// A file that a message has, and its URL as the server writes it.
pub(super) struct Attached {
    id: FileId,
    file: File,
    url: Arc<str>,
}

/// The files of a message that is to be sent: they are of this conference, and there.
pub(super) fn attached(view: &View<'_>, conf: ConfNo, urls: &[Arc<str>]) -> Result<Vec<Attached>, Stop> {
    let mut attached: Vec<Attached> = Vec::with_capacity(urls.len());
    for url in urls {
        let capability = capability_in(url).filter(|capability| capability.conf() == conf).ok_or(Reason::UnknownFile)?;
        let id = capability.id();
        let file: File = view.get(&keys::file(conf, id))?.ok_or(Reason::UnknownFile)?;
        // Named twice, it is one attachment.
        if attached.iter().all(|other| other.id != id) {
            attached.push(Attached { id, url: attachment(&capability, &file), file });
        }
    }
    Ok(attached)
}

/// One more message has them. Returns their URLs.
pub(super) fn hold(view: &mut View<'_>, conf: ConfNo, attached: Vec<Attached>) -> Vec<Arc<str>> {
    let mut urls = Vec::with_capacity(attached.len());
    for Attached { id, mut file, url } in attached {
        if file.uses == 0 {
            view.remove(keys::unused_file(conf, file.unused_ms, id));
        }
        file.uses += 1;
        view.put(keys::file(conf, id), &file);
        urls.push(url);
    }
    urls
}

/// A message that had them is gone.
pub(super) fn release(view: &mut View<'_>, conf: ConfNo, at_ms: u64, urls: &[Arc<str>]) -> Result<(), StateError> {
    for id in
        urls.iter().filter_map(|url| capability_in(url)).filter(|capability| capability.conf() == conf).map(|capability| capability.id())
    {
        let Some(mut file) = view.get::<File>(&keys::file(conf, id))?.filter(|file| file.uses > 0) else { continue };
        file.uses -= 1;
        if file.uses == 0 {
            file.unused_ms = at_ms;
            view.put(keys::unused_file(conf, at_ms, id), &());
        }
        view.put(keys::file(conf, id), &file);
    }
    Ok(())
}

/// One bounded step of letting go of files that no message has had since `before_ms`, the oldest first.
pub(super) fn collect(view: &mut View<'_>, ask: Ask<'_>, before_ms: u64) -> Applied {
    let prefix = keys::unused_files(ask.conf);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    let due: Vec<_> = found.iter().filter_map(|key| keys::parts_of_unused(key)).filter(|(since_ms, _)| *since_ms <= before_ms).collect();
    let more = due.len() == MAX_STEP;
    for (since_ms, id) in due {
        view.remove(keys::unused_file(ask.conf, since_ms, id));
        let Some(file) = view.get::<File>(&keys::file(ask.conf, id))? else { continue };
        take_out(view, keys::uploads(ask.conf, &file.owner), &file)?;
        take_out(view, keys::uploads_of_all(ask.conf), &file)?;
        view.remove(keys::user_file(ask.conf, &file.owner, id));
        view.remove(keys::file(ask.conf, id));
    }
    Ok(if more { Outcome::Continue(Vec::new()) } else { Outcome::Done })
}

/// A bounded step of an erasure: forgets some of a user's files, wherever they are attached; whether there were any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, StateError> {
    let prefix = keys::user_files(conf, uid);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    if found.is_empty() {
        view.remove(keys::uploads(conf, uid));
        return Ok(false);
    }
    for key in found {
        if let Some(id) = keys::id_of_file(&key) {
            if let Some(file) = view.get::<File>(&keys::file(conf, id))? {
                take_out(view, keys::uploads_of_all(conf), &file)?;
                if file.uses == 0 {
                    view.remove(keys::unused_file(conf, file.unused_ms, id));
                }
            }
            view.remove(keys::file(conf, id));
        }
        view.remove(key);
    }
    Ok(true)
}
