//! Where people are reached, command by command on a state in memory.

use super::*;
use crate::model::{Provider, Target};

fn target(provider: Provider, address: &str) -> Target {
    let (topic, options, device) = ("".into(), "".into(), "phone".into());
    Target { provider, address: address.into(), secret: vec![7; 81], topic, is_sandbox: false, options, device, since_ms: 0 }
}

#[test]
fn signed_out_everywhere_is_out_of_everywhere() {
    let mut world = World::new();
    // More than one may have.
    let mut view = View::new(&*world.state, &mut world.kept, world.head.clone());
    for n in 0..40 {
        let target = target(Provider::Fcm, &n.to_string());
        view.put(keys::target(CONF, &uid("bob"), &target.id()), &target);
        view.put(keys::target_owner(CONF, &target.id()), &uid("bob"));
    }
    let (batch, head, _) = view.finish();
    world.state.commit(&batch).unwrap();
    world.head = head;
    assert_eq!(world.count(b"P9"), 80);
    world.system(Action::Erase { uid: uid("bob") });
    assert_eq!(world.count(b"P9"), 0);
}
