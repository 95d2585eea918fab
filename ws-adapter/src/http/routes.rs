//! Who answers what, and which checks come before.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::LazyLock;

use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::answer::{Answer, JSON, Refusal, json, method_not_allowed, no_such_path, not_ours, refused, with_body};
use super::client::{Client, identify};
use super::{App, Opening, Socket, account, conversations, cors, events, files, host_meta, notify, page, rpc, socketio, ticket, upgrade};
use hallway_broker::files::percent_decoded;
use hallway_broker::ids::ConversationId;

/// The OpenRPC document, made when it is first asked for.
static OPENRPC: LazyLock<String> = LazyLock::new(crate::openrpc::document);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Page(&'static page::Part),
    OpenRpc,
    About,
    Alive,
    Ready,
    Metrics,
    Register,
    Login,
    Ticket,
    Rpc,
    Conversations,
    LeaveGroup,
    Socket(Socket),
    Socketio,
    Notify,
    HostMeta,
    HostMetaJson,
    Upload,
    File,
    Events,
}

impl Route {
    /// What answers a request. A conversation's id is a path for a WebSocket only, so that a page that is not there stays so.
    fn of(request: &Request<Incoming>) -> Option<Self> {
        let path = request.uri().path();
        let is_conversation = || upgrade::is_asked_for(request.headers()) && conversation_in(path).is_some();
        Self::find(path).or_else(|| is_conversation().then_some(Self::Socket(Socket::Conversation)))
    }

    fn find(path: &str) -> Option<Self> {
        if path.starts_with("/files/") {
            return Some(Self::File);
        }
        Some(match path {
            "/openrpc.json" => Self::OpenRpc,
            "/api/about" => Self::About,
            "/healthz" => Self::Alive,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/api/register" => Self::Register,
            "/api/login" => Self::Login,
            "/ticket" => Self::Ticket,
            "/rpc" => Self::Rpc,
            "/files" => Self::Upload,
            "/events" => Self::Events,
            "/ws" => Self::Socket(Socket::Hallway),
            "/sock" => Self::Socket(Socket::Topics),
            "/api/conversations" => Self::Conversations,
            "/api/groups/leave" => Self::LeaveGroup,
            "/mqtt" => Self::Socket(Socket::Mqtt),
            "/socket.io" | "/socket.io/" => Self::Socketio,
            "/api/notify" => Self::Notify,
            "/xmpp-websocket" => Self::Socket(Socket::Xmpp),
            "/.well-known/host-meta" => Self::HostMeta,
            "/.well-known/host-meta.json" => Self::HostMetaJson,
            _ => return page::find(path).map(Self::Page),
        })
    }

    /// What must be spoken here for the route to be there.
    fn socket(self) -> Option<Socket> {
        match self {
            Self::Socket(what) => Some(what),
            Self::HostMeta | Self::HostMetaJson => Some(Socket::Xmpp),
            _ => None,
        }
    }

    fn is_post(self) -> bool {
        matches!(self, Self::Register | Self::Login | Self::Rpc | Self::LeaveGroup | Self::Upload | Self::Notify)
    }

    /// What load balancers and scrapers ask by whatever name or address they know, and no page can do anything with.
    fn is_for_operators(self) -> bool {
        matches!(self, Self::Alive | Self::Ready | Self::Metrics)
    }

    /// Whether pages of other, allowed origins may read the answer.
    fn is_open_to_origins(self) -> bool {
        let is_read =
            matches!(self, Self::Ticket | Self::OpenRpc | Self::About | Self::HostMeta | Self::HostMetaJson | Self::File | Self::Events);
        is_read || self.is_post() || matches!(self, Self::Socketio | Self::Conversations)
    }

    /// Whether what it does depends on who sends the browser here.
    fn checks_origin(self) -> bool {
        self.is_open_to_origins() || matches!(self, Self::Socket(_))
    }
}

/// Answers a request. After a 101, `upgraded` names the client to hand over.
pub async fn answer<A: App>(app: &A, request: Request<Incoming>, peer: IpAddr, upgraded: &RefCell<Option<Opening<A::Entrance>>>) -> Answer {
    let settings = app.settings();
    let (client, host) = identify(request.headers(), peer, &settings.trusted_proxies);
    let route = Route::of(&request).filter(|route| route.socket().is_none_or(|what| app.speaks(what)));
    let Some(route) = route else { return no_such_path() };
    if let Err(refusal) = check(route, app, request.headers(), host.as_deref()) {
        return *refusal;
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let mut answer = if is_preflight(route, &request) {
        cors::preflight()
    } else if let Some(refusal) = wrong_method(route, request.method()) {
        refusal
    } else {
        match route {
            Route::HostMeta => host_meta::xml(&client, host.as_deref().unwrap_or_default()),
            Route::HostMetaJson => host_meta::json(&client, host.as_deref().unwrap_or_default()),
            route => carry_out(app, route, request, client, upgraded).await,
        }
    };
    if route.is_open_to_origins() {
        cors::open_to(origin.as_ref(), &mut answer);
    }
    answer
}

/// DESIGN, "Safety": the Host header must be ours, the Origin ours or listed.
fn check<A: App>(route: Route, app: &A, headers: &HeaderMap, host: Option<&str>) -> Result<(), Refusal> {
    let site = &app.settings().site;
    if route.is_for_operators() {
        return Ok(());
    }
    let Some(host) = host.filter(|host| site.is_our_host(host)) else {
        return Err(not_ours("the Host header does not name this server: see public_url").into());
    };
    if route.checks_origin() && !site.allows(cors::origin(headers), host) {
        return Err(not_ours("this origin is not allowed: see [http] origins").into());
    }
    Ok(())
}

fn is_preflight(route: Route, request: &Request<Incoming>) -> bool {
    route.is_open_to_origins() && request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn wrong_method(route: Route, method: &Method) -> Option<Answer> {
    let (fits, allowed) = match route {
        Route::Socketio => (method == Method::GET || method == Method::POST, "GET, POST"),
        _ if route.is_post() => (method == Method::POST, "POST"),
        Route::Socket(_) | Route::Events => (method == Method::GET, "GET"),
        Route::Ticket => (method == Method::GET || method == Method::POST, "GET, POST"),
        _ => (method == Method::GET || method == Method::HEAD, "GET, HEAD"),
    };
    (!fits).then(|| method_not_allowed(allowed))
}

async fn carry_out<A: App>(
    app: &A,
    route: Route,
    request: Request<Incoming>,
    client: Client,
    upgraded: &RefCell<Option<Opening<A::Entrance>>>,
) -> Answer {
    match route {
        Route::Page(part) => page::answer(part, request.headers()),
        Route::OpenRpc => with_body(StatusCode::OK, JSON, OPENRPC.as_str()),
        Route::About => json(StatusCode::OK, &app.about().await),
        Route::Alive => text(StatusCode::OK, "ok\n"),
        Route::Ready if app.ready() => text(StatusCode::OK, "ready\n"),
        Route::Ready => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        Route::Metrics => with_body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", app.metrics()),
        Route::Register => account::register(app, request, &client).await,
        Route::Login => account::login(app, request, &client).await,
        Route::Ticket => ticket::issue(app, request.headers(), request.uri()).await,
        Route::Rpc => rpc::call(app, request, &client).await,
        Route::Conversations => conversations::list(app, request.headers(), request.uri()).await,
        Route::LeaveGroup => conversations::leave(app, request).await,
        Route::Upload => files::upload(app, request).await,
        Route::File => files::download(app, &request, &client).await,
        Route::Events => events::stream(app, &request, &client).await,
        Route::Socket(what) => socket(app, what, &request.into_parts().0, client, upgraded).await,
        Route::Socketio => socketio::answer(app, request, client, upgraded).await,
        Route::Notify => notify::notify(app, request).await,
        Route::HostMeta | Route::HostMetaJson => no_such_path(),
    }
}

/// The handshake of a WebSocket.
pub async fn socket<A: App>(
    app: &A,
    route: Socket,
    request: &Parts,
    client: Client,
    upgraded: &RefCell<Option<Opening<A::Entrance>>>,
) -> Answer {
    let answer = match upgrade::shake_hands(&request.headers, route) {
        Ok(answer) => answer,
        Err(refusal) => return *refusal,
    };
    match app.admits(route, request, &client).await {
        Ok(entrance) => *upgraded.borrow_mut() = Some(Opening { client, route, entrance }),
        Err(fault) => return refused(&fault),
    }
    answer
}

/// The conversation that a path of one segment names.
pub(crate) fn conversation_in(path: &str) -> Option<ConversationId> {
    ConversationId::parse(&percent_decoded(path.strip_prefix('/')?)?).ok()
}

fn text(status: StatusCode, text: &'static str) -> Answer {
    with_body(status, "text/plain; charset=utf-8", text)
}
