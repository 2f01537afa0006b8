// Other nodes: administrators invite and remove them; they themselves come through the node port
// (edge/node_port.conf.in), which says whose certificate a request showed.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "control-plane/api.h"
#include "control-plane/background.h"
#include "control-plane/streams_store.h"
#include "control-plane/videos_store.h"
#include "core/log.h"

namespace ribalta::control {
namespace {

/// Set by the node port, which drops what a client says by these names.
constexpr std::string_view kEdgeField{"Ribalta-Edge"};
constexpr std::string_view kCertificateField{"Ribalta-Certificate"};
constexpr std::int64_t kRestrictedPage = 1'000;
constexpr std::size_t kVersionCharsMax = 32;

struct NodeNew {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(NodeNew, (), (name))

struct NodeInvitation {
  std::string name;
  std::string secret;
  std::string expires;
};
BOOST_DESCRIBE_STRUCT(NodeInvitation, (), (name, secret, expires))

struct JoinAnswer {
  std::string name;
  std::string playback_keys;
};
BOOST_DESCRIBE_STRUCT(JoinAnswer, (), (name, playback_keys))

struct Restricted {
  std::vector<Notice> items;
  std::optional<std::string> next;
};
BOOST_DESCRIBE_STRUCT(Restricted, (), (items, next))

/// nginx and those who follow know the nodes as SQL has them now.
Task<Result<void>> tell_list(ControlPtr control) {
  auto work = [control] { return list_nodes(*control); };
  const Result<void> listed = co_await run_blocking<Lane::background>(std::move(work));
  asio::post(control->node.loops->loop(0), [control] { control->nodes.wake(); });
  if (!listed) log_error("the list of nodes can't be written", {{"error", listed.error()}});
  co_return listed;
}

Task<void> post_node(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<NodeNew> wanted = co_await read_json<NodeNew>(exchange);
  if (!wanted) co_return co_await respond(exchange, to_response(wanted.error()));
  Work work = [control, name = wanted->name](const Call& call) -> Result<Outcome<http::Response>> {
    auto secret = invite_node(call.session, control->secrets, name, call.now);
    if (!secret) return pass(secret);
    if (!*secret) return refuse(*secret);
    return Outcome<http::Response>{
        json_response(201, NodeInvitation{name, **secret, view::instant(call.now + kInvitationMs)})};
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));
}

Task<void> delete_node(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const std::string name{http::parameter(parameters, "name")};
  Work work = [name](const Call& call) -> Result<Outcome<http::Response>> {
    auto removed = remove_node(call.session, name);
    if (!removed) return pass(removed);
    if (!*removed) return refuse(*removed);
    return Outcome<http::Response>{empty_response()};
  };
  const http::RequestHead head = exchange.head();
  http::Response response = co_await decide(control, head, Need::admin, Mode::write, std::move(work));
  if (response.status == 204) {
    log_info("a node was removed", {{"node", name}});
    const Result<void> told = co_await tell_list(control);
    if (!told) response = http::Response::error(503, "unavailable", "The node is removed, but nginx can't be told.");
  }
  co_await respond(exchange, std::move(response));
}

// --- through the node port -------------------------------------------------------------------------------------------

Task<void> post_join(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const std::string certificate{exchange.head().fields.get(kCertificateField)};
  Outcome<JoinRequest> request = co_await read_json<JoinRequest>(exchange);
  if (!request) co_return co_await respond(exchange, to_response(request.error()));
  const std::int64_t now = control->now_ms();
  auto work = [control, request = *request, certificate, now](sql::Session& session) {
    return join_node(session, control->secrets, request, certificate, now);
  };
  const auto joined = co_await control->write("join node", std::move(work));
  if (!joined) {
    log_warning("a node can't join", {{"error", joined.error()}});
    co_return co_await respond(exchange, http::Response::error(503, "unavailable", "The database does not answer."));
  }
  if (!*joined) co_return co_await respond(exchange, to_response(joined->error()));
  const Result<void> told = co_await tell_list(control);
  if (!told) {
    co_return co_await respond(exchange, http::Response::error(503, "unavailable", "The node can't be listed."));
  }
  log_info("a node has joined", {{"node", request->name}, {"certificate", certificate}});
  co_await respond(exchange, json_response(200, JoinAnswer{request->name, control->secrets.playback_public_line()}));
}

/// The node that asks. @refusal 403: through no node port, or removed meanwhile.
Outcome<std::string> node_of(Control& control, const http::RequestHead& head) {
  std::string name{head.fields.get(kEdgeField)};
  if (name.empty() || !control.nodes.is_listed(name)) return refuse(403, "forbidden", "This is for nodes that joined.");
  return name;
}

Task<void> get_notices(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const Outcome<std::string> node = node_of(*control, exchange.head());
  if (!node) co_return co_await respond(exchange, to_response(node.error()));
  const std::string version = exchange.head().query_value("version").substr(0, kVersionCharsMax);
  control->nodes.heard(*node, version, control->now_ms());
  Task<NoticesPage> there = control->nodes.after(exchange.head().query_value("after"), kNoticesHeld);
  const NoticesPage page = co_await asio::co_spawn(control->node.loops->loop(0), std::move(there), asio::use_awaitable);
  // It may have been removed while it was held.
  const Outcome<std::string> still = node_of(*control, exchange.head());
  if (!still) co_return co_await respond(exchange, to_response(still.error()));
  co_await respond(exchange, json_response(200, page));
}

/// A page after a place as the page before it said: streams first, then videos, each by id.
Result<Restricted> restricted_after(sql::Session& session, std::string_view after, std::int64_t streams_since) {
  constexpr std::string_view kStreams{"stream:"};
  constexpr std::string_view kVideos{"video:"};
  Restricted page;
  if (!after.starts_with(kVideos)) {
    if (after.starts_with(kStreams)) after.remove_prefix(kStreams.size());
    auto streams = StreamsStore{session}.removed_since(streams_since, after, kRestrictedPage);
    if (!streams) return pass(streams);
    for (const StreamId& id : *streams) page.items.push_back({"stream", id.text(), "gone"});
    const bool full = static_cast<std::int64_t>(streams->size()) == kRestrictedPage;
    page.next = full ? std::string{kStreams} + streams->back().text() : std::string{kVideos};
    return page;
  }
  after.remove_prefix(kVideos.size());
  auto videos = VideosStore{session}.restricted(std::string{after}, kRestrictedPage);
  if (!videos) return pass(videos);
  for (const VideosStore::Access& video : *videos) page.items.push_back({"video", video.id.text(), video.access});
  if (static_cast<std::int64_t>(videos->size()) == kRestrictedPage) {
    page.next = std::string{kVideos} + videos->back().id.text();
  }
  return page;
}

Task<void> get_restricted(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const Outcome<std::string> node = node_of(*control, exchange.head());
  if (!node) co_return co_await respond(exchange, to_response(node.error()));
  auto work = [after = exchange.head().query_value("after"), since = gone_since(*control)](sql::Session& session) {
    return restricted_after(session, after, since);
  };
  const Result<Restricted> page = co_await control->read<Lane::background>(std::move(work));
  if (!page) {
    log_warning("what is restricted can't be read for a node", {{"node", *node}, {"error", page.error()}});
    co_return co_await respond(exchange, http::Response::error(503, "unavailable", "The database does not answer."));
  }
  co_await respond(exchange, json_response(200, *page));
}

}  // namespace

Result<void> list_nodes(Control& control) {
  const std::lock_guard lock{control.nodes.listing()};
  auto nodes = control.database->read([](sql::Session& session) { return NodesStore{session}.all(); });
  if (!nodes) return pass(nodes);
  return control.nodes.list(*nodes);
}

void add_node_routes(const ControlPtr& control, http::Router& router) {
  add_route(router, control, "POST", "/admin/nodes", post_node);
  add_route(router, control, "DELETE", "/admin/nodes/{name}", delete_node);
}

void add_node_port_routes(const ControlPtr& control, http::Router& router) {
  const auto add = [&](std::string_view method, std::string_view path, ApiHandler handler) {
    router.add(method, path, [control, handler](http::Exchange& exchange, const Parameters& parameters) {
      return handler(control, exchange, parameters);
    });
  };
  add("POST", "/node/v1/join", post_join);
  add("GET", "/node/v1/notices", get_notices);
  add("GET", "/node/v1/restricted", get_restricted);
}

}  // namespace ribalta::control
