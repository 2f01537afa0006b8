// A daemon with as little of a role as can be, for daemon_test.
#include <memory>
#include <stdexcept>

#include "core/daemon.h"
#include "core/log.h"

using namespace ribalta;

namespace {

struct Probe {
  std::string colour;
  std::atomic<bool> ill{false};
  std::atomic<int> holding{0};
  std::shared_ptr<Event> stop;
};

Task<void> say(http::Exchange& exchange, std::string text) {
  co_await exchange.respond(http::Response::text(200, text));
}

Task<void> hold(Probe& probe, http::Exchange& exchange) {
  ++probe.holding;
  Event local{exchange.loop()};
  while (!probe.ill && exchange.head().path == "/held") {
    const std::uint64_t seen = local.version();
    const http::Exchange::Woken woken = co_await exchange.until_gone_or(local, seen, std::chrono::milliseconds{10});
    if (woken == http::Exchange::Woken::gone) co_return;
  }
  co_await exchange.respond(http::Response::text(503, "stopping"));
}

Task<void> fail_always() {
  throw std::runtime_error("a bug");
  co_return;
}

Task<void> drain(Probe& probe) {
  probe.ill = true;
  log_info("drained");
  co_return;
}

}  // namespace

int main(int argc, char** argv) {
  Probe probe;
  Role role;
  role.name = "probe";
  role.read_config = [&probe](ConfigReader& reader) {
    reader.section("probe").text("colour", probe.colour, "nothing");
  };
  role.check_config = [&probe](const NodeConfig&, ConfigReader& reader) {
    if (probe.colour == "invisible") reader.complain("probe", "colour", "can't be seen");
  };
  role.more_help = "It probes.";
  role.start = [&probe](Node& node, http::Router& router) -> Result<void> {
    router.add("GET", "/break", [&node](http::Exchange& exchange, const http::Router::Parameters&) {
      spawn_essential(node.loops->loop(0), "the probe's heart", fail_always);
      return say(exchange, "");
    });
    router.add("GET", "/hello",
               [](http::Exchange& exchange, const http::Router::Parameters&) { return say(exchange, "hello"); });
    router.add("GET", "/fall-ill", [&probe](http::Exchange& exchange, const http::Router::Parameters&) {
      probe.ill = true;
      return say(exchange, "");
    });
    router.add("GET", "/holding", [&probe](http::Exchange& exchange, const http::Router::Parameters&) {
      return say(exchange, std::to_string(probe.holding));
    });
    router.add("GET", "/held",
               [&probe](http::Exchange& exchange, const http::Router::Parameters&) { return hold(probe, exchange); });
    return {};
  };
  role.health = [&probe] { return probe.ill ? std::string{"ill"} : std::string{}; };
  role.drain = [&probe](std::chrono::milliseconds) { return drain(probe); };
  return daemon_main(role, argc, argv);
}
