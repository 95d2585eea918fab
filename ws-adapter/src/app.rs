//! What the HTTP routes ask of the hub, for one connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::accounts::tickets::TICKET_LIFE;
use hallway_broker::accounts::{self, Identity, Wish};
use hallway_broker::command::{Action, Actor};
use hallway_broker::edges::{self, SignIns};
use hallway_broker::files::Capability;
use hallway_broker::hub::Hub;
use hallway_broker::ids::ConversationId;
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::model::{File, Via};
use hallway_broker::peers::{Peers, Unauthenticated};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::sending::Sending;
use hallway_broker::session::{Who, blocking};
use hallway_broker::shard::Shard;
use hyper::http::request::Parts;
use tokio::sync::oneshot;

use crate::conversation::list::Row;
use crate::conversation::{self, Conversation};
use crate::entrance;
use crate::events::{self, EventsBody, EventsWanted};
use crate::http::client::Client;
use crate::http::credential::Credential;
use crate::http::routes::conversation_in;
use crate::http::{About, AboutConference, App, Settings, Socket, Upgraded};
use crate::listen::Others;
use crate::methods::{self, Caller};
use crate::rpc::Fault;
use crate::session::JsonRpc;
use crate::sock::{self, Sock};
use crate::socket::{self, Opened};
use crate::socketio::dialect;
use crate::socketio::edge::Edge;
use crate::socketio::exchange::{Answered, Ask};
use crate::socketio::notify::{self, Notify};
use crate::socketio::polling::{self, Reply, ReplyTo};
use crate::socketio::query::{BadRequest, Query};
use crate::types::account::{Login, Register, SignedIn, Ticket};
use crate::types::{Time, conversation_id};
use crate::upload::{Upload, Uploads};

/// Connections of one address that look at files.
pub(crate) const VIEWERS_PER_ADDRESS: u32 = 4000;

/// What all connections share.
pub(crate) struct Shared {
    pub settings: Settings,
    pub hub: Arc<Hub>,
    pub sign_ins: SignIns,
    /// MQTT in WebSocket, when it is spoken here.
    pub others: Others,
    /// Protocol and address of each listener, for the page.
    pub listeners: Vec<(String, String)>,
    /// Whether passwords are taken on connections without TLS.
    pub plaintext_login: bool,
    /// Files that come in now.
    pub uploads: Uploads,
    /// Connections that look at files.
    pub viewers: Peers,
    /// Socket.IO.
    pub socketio: Arc<Edge>,
}

/// What a WebSocket's request says of it.
pub(crate) enum Entrance {
    /// Nothing: who it is comes in the first message.
    Plain,
    /// Who asks, and which conversation.
    Conversation(Box<(ConversationId, conversation::Entrance)>),
    /// Who asks, and the connection's id if they have one.
    Topics(Box<(sock::Entrance, Option<Arc<str>>)>),
    /// Whose it is, and whether it takes over from polling.
    Socketio(Query),
}

/// One connection's view of it.
pub(crate) struct Connection {
    pub shared: Arc<Shared>,
    pub shard: Rc<Shard>,
    /// Counts the connection until somebody signs in on it.
    pub admitted: RefCell<Option<Unauthenticated>>,
}

impl Connection {
    fn takes_passwords(&self, client: &Client) -> Result<(), Fault> {
        if client.secure || self.shared.plaintext_login { Ok(()) } else { Err(Reason::PlaintextLogin.into()) }
    }

    /// The entrance of who signs in with the upgrade's request.
    async fn signed_in(&self, socket: Socket, request: &Parts) -> Result<Entrance, Fault> {
        let credential = Credential::of(&request.headers, &request.uri).ok_or(Reason::NoSession)?;
        let who = self.person(&credential).await?;
        if socket == Socket::Topics {
            let connection = entrance::connection(&credential).map(Arc::from);
            return Ok(Entrance::Topics(Box::new((sock::Entrance { who }, connection))));
        }
        let id = conversation_in(request.uri.path()).ok_or(Reason::UnknownConversation)?;
        let wanted = entrance::conversation(&self.shared.hub, who, &id, &request.uri)?;
        Ok(Entrance::Conversation(Box::new((id, wanted))))
    }

    /// The same, for what is not for badge readers.
    async fn person(&self, credential: &Credential) -> Result<Who, Fault> {
        let identity = self.identify(credential).await?;
        if identity.user.role.takes_part() { Ok(Who::from(identity)) } else { Err(Reason::NotAllowed.into()) }
    }

    /// Who shows this: for every route and upgrade.
    pub async fn identify(&self, credential: &Credential) -> Result<Identity, Fault> {
        let Shared { sign_ins, hub, .. } = &*self.shared;
        Ok(sign_ins.identify(hub, credential.shown(), None).await?)
    }
}

fn signed_in(found: accounts::SignedIn) -> SignedIn {
    let accounts::SignedIn { token, uid, name, conference, expires_at_ms } = found;
    SignedIn { token, user: uid, name: name.to_string(), conference, expires_at: Time(expires_at_ms) }
}

impl App for Connection {
    type Entrance = Entrance;

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    async fn register(&self, wanted: Register, client: &Client) -> Result<SignedIn, Fault> {
        self.takes_passwords(client)?;
        let Register { conference, uid, password, name, invite } = wanted;
        let Shared { sign_ins, hub, .. } = &*self.shared;
        let wish = Wish { name: name.as_deref(), invite: invite.as_deref(), ..Wish::new(&conference, &uid, &password) };
        Ok(signed_in(sign_ins.accounts.register(hub, &wish, client.address).await?))
    }

    async fn login(&self, login: Login, client: &Client) -> Result<SignedIn, Fault> {
        self.takes_passwords(client)?;
        let Shared { sign_ins, hub, .. } = &*self.shared;
        Ok(signed_in(sign_ins.accounts.login(hub, &login.conference, &login.uid, &login.password, client.address).await?))
    }

    async fn ticket(&self, token: &str) -> Result<Ticket, Fault> {
        let identity = self.identify(&Credential::Token(token.to_owned())).await?;
        let ticket = self.shared.sign_ins.accounts.ticket(identity)?;
        Ok(Ticket { ticket, expires_in: TICKET_LIFE.as_secs() })
    }

    async fn rpc(&self, text: &str, credential: &Credential, session: Option<&str>, _: &Client) -> Result<Option<Vec<u8>>, Fault> {
        let (hub, who) = (&self.shared.hub, Who::from(self.identify(credential).await?));
        let out = match session {
            Some(session) => events::ask(hub, &who, session, text).await?,
            None => {
                let sending = Sending::of_user();
                let caller = Caller { hub, who: &who, via: Via::Http, sending: &sending, session: None, is_guest: false };
                let mut out = Vec::new();
                methods::message(&caller, text, &mut out).await;
                out
            }
        };
        Ok((!out.is_empty()).then_some(out))
    }

    async fn conversations(&self, credential: &Credential) -> Result<Vec<u8>, Fault> {
        let who = self.person(credential).await?;
        let (reader, ids) = (self.shared.hub.reader().clone(), self.shared.hub.reader().ids());
        let now_ms = self.shared.hub.clock().now_ms();
        let list = blocking(move || {
            let listed = reader.list(who.conf, &who.uid, MAX_PAGE)?;
            serde_json::to_vec(&listed.iter().map(|listed| Row::of(listed, &ids, now_ms)).collect::<Vec<_>>())
                .map_err(|_| Reason::StoreError.into())
        });
        Ok(list.await?)
    }

    async fn leave(&self, credential: &Credential, conversation: &str) -> Result<(), Fault> {
        let who = self.person(credential).await?;
        let conversation = conversation_id(conversation)?;
        Sending::of_user().take(&self.shared.hub, &who)?;
        let actor = Actor { uid: who.uid, via: Via::Http, session: 0 };
        Ok(self.shared.hub.call(who.conf, actor, Action::Leave { conversation }).await.map(drop)?)
    }

    async fn upload(&self, credential: &Credential, bytes: Option<u64>) -> Result<Upload, Fault> {
        let (hub, who) = (&self.shared.hub, self.person(credential).await?);
        Sending::of_user().take(hub, &who)?;
        Upload::begin(hub, &self.shared.uploads, who, bytes).await
    }

    async fn file(&self, capability: &Capability, client: &Client) -> Result<(File, std::fs::File), Fault> {
        let (hub, conf, id) = (Arc::clone(&self.shared.hub), capability.conf(), capability.id());
        let found = blocking(move || {
            let record = hub.reader().file(conf, id)?.ok_or(Reason::UnknownFile)?;
            let bytes = hub.files().open(conf, id).map_err(|error| {
                tracing::error!(%error, "the bytes of a file that was brought");
                Reason::StoreError
            })?;
            Ok((record, bytes))
        })
        .await?;
        // Who knows a file was told of it by somebody who has signed in: a whole venue may look at one picture.
        if self.admitted.borrow().is_some() {
            let viewer = self.shared.viewers.admit(client.address).ok_or(Reason::TooManySessions)?;
            self.admitted.replace(Some(viewer));
        }
        Ok(found)
    }

    async fn events(&self, wanted: EventsWanted, _: &Client) -> Result<EventsBody, Fault> {
        self.shared.hub.writable().or_else(|reject| if reject.reason == Reason::Draining { Err(reject) } else { Ok(()) })?;
        let who = self.person(&wanted.credential).await?;
        let sending = Sending::of_user();
        // Opening one takes the server more than a message does.
        sending.take(&self.shared.hub, &who)?;
        let body = events::open(&self.shard, who, sending, &wanted).await?;
        // Somebody has signed in.
        self.admitted.take();
        Ok(body)
    }

    async fn poll(&self, ask: Ask, client: &Client) -> Answered {
        let (to, answer) = oneshot::channel();
        let (reply, address) = (ReplyTo::new(to, self.admitted.take()), client.address);
        match ask.shard().filter(|shard| *shard != self.shard.index) {
            // What comes of it is heard here; should this request go meanwhile, that is noticed there.
            Some(shard) => {
                let edge = Arc::clone(&self.shared.socketio);
                self.shared.hub.run_on_shard(shard, Box::new(move |shard| polling::ask(shard, &edge, ask, address, reply)));
            }
            None => polling::ask(&self.shard, &self.shared.socketio, ask, address, reply),
        }
        // A shard that there is not, or a session that ends, lets go of it.
        let gone = |_| Reply { answered: Answered::Bad(BadRequest::Session), guard: None, is_in: false };
        let Reply { answered, guard, is_in } = answer.await.unwrap_or_else(gone);
        // Until somebody has signed in, a connection that waits for its next request is nobody's again.
        let guard = if is_in { None } else { guard.or_else(|| self.shared.sign_ins.peers.admit(address)) };
        self.admitted.replace(guard);
        answered
    }

    async fn notify(&self, wanted: Notify, credential: &Credential) -> Result<usize, Fault> {
        let hub = &self.shared.hub;
        let who = self.person(credential).await?;
        Sending::of_user().take(hub, &who)?;
        notify::notify(hub, &who, wanted).await
    }

    fn speaks(&self, socket: Socket) -> bool {
        !matches!(socket, Socket::Mqtt | Socket::Xmpp) || self.shared.others.of(socket).is_some()
    }

    async fn admits(&self, socket: Socket, request: &Parts, client: &Client) -> Result<Entrance, Fault> {
        if self.shared.hub.writable() == Err(Reason::Draining.into()) {
            return Err(Reason::Draining.into());
        }
        // Who comes in by Socket.IO may take minutes over a name: they are counted apart.
        let counts_apart = socket == Socket::Socketio;
        if counts_apart || self.admitted.borrow().is_none() {
            let peers = if counts_apart { &self.shared.socketio.arrivals } else { &self.shared.sign_ins.peers };
            let admitted = peers.admit(client.address).ok_or(Reason::TooManySessions)?;
            self.admitted.replace(Some(admitted));
        }
        match socket {
            Socket::Hallway | Socket::Mqtt | Socket::Xmpp => Ok(Entrance::Plain),
            Socket::Socketio => {
                let query = Query::parse(request.uri.query().unwrap_or_default());
                Ok(Entrance::Socketio(query.map_err(|_| Fault::invalid_request("Bad request"))?))
            }
            Socket::Conversation | Socket::Topics => self.signed_in(socket, request).await,
        }
    }

    fn upgraded(&self, upgraded: Upgraded<Entrance>) {
        let Some(admitted) = self.admitted.take() else { return };
        let Upgraded { stream, leftover, client, route, entrance } = upgraded;
        if let Some(other) = self.shared.others.of(route) {
            let leftover = leftover.to_vec();
            return other
                .enter(&self.shard, edges::Upgraded { stream, leftover, address: client.address, is_secure: client.secure, admitted });
        }
        let hub = &self.shared.hub;
        let leftover = leftover.to_vec();
        if let Entrance::Socketio(query) = entrance {
            let entrance = dialect::Entrance { query, address: client.address };
            return dialect::open(&self.shared.socketio, &self.shard, stream, leftover, admitted, entrance);
        }
        let opened = Opened { shard: Rc::clone(&self.shard), stream, leftover, admitted };
        match entrance {
            Entrance::Plain | Entrance::Socketio(_) => {
                let dialect = JsonRpc::new(hub.reader().ids());
                tokio::task::spawn_local(socket::run(opened, dialect, self.shared.sign_ins.clone()));
            }
            Entrance::Conversation(wanted) => {
                let (id, wanted) = *wanted;
                let dialect = Conversation::new(wanted.who.conf, id, hub.reader().ids());
                tokio::task::spawn_local(socket::run(opened, dialect, wanted));
            }
            Entrance::Topics(wanted) => {
                let (wanted, connection) = *wanted;
                let dialect = Sock::new(connection, Arc::clone(hub.clock()));
                tokio::task::spawn_local(socket::run(opened, dialect, wanted));
            }
        }
    }

    async fn about(&self) -> About {
        let conferences = self.shared.hub.reader().conferences().unwrap_or_default();
        let about = |(id, record): (hallway_broker::ids::ConferenceId, hallway_broker::model::Conference)| AboutConference {
            id: id.to_string(),
            title: record.title,
            sign_in: record.sign_in.word().to_owned(),
        };
        About {
            name: "Hallway",
            version: env!("CARGO_PKG_VERSION"),
            mode: if self.shared.hub.options().demo { "demo" } else { "server" }.to_owned(),
            conferences: conferences.into_iter().map(about).collect(),
            listeners: self.shared.listeners.clone(),
        }
    }

    fn ready(&self) -> bool {
        self.shared.hub.writable() != Err(Reject::from(Reason::Draining))
    }

    fn metrics(&self) -> String {
        self.shared.hub.render_metrics()
    }
}
