// ribalta-control: the system of record. Configuration, database, background work, routes; the rest is daemon_main's.
#include <memory>

#include "control-plane/api.h"
#include "control-plane/background.h"
#include "control-plane/config.h"
#include "control-plane/control.h"
#include "core/daemon.h"

namespace ribalta::control {
namespace {

/// What the roles' functions share: empty until start.
struct Running {
  Config config;
  std::shared_ptr<Control> control;
  std::shared_ptr<Background> background;
};

Result<void> start(Running& running, Node& node, http::Router& router) {
  auto control = Control::open(node, running.config);
  if (!control) return pass(control);
  running.control = std::move(*control);
  running.background = std::make_shared<Background>(running.control);
  add_api_routes(running.control, router);
  add_internal_routes(running.control, router);
  add_node_port_routes(running.control, router);
  if (auto listed = list_nodes(*running.control); !listed) return listed.error().in("list of nodes");
  running.background->start();
  return {};
}

std::string health(const Running& running) { return running.control ? running.control->health() : "starting"; }

Task<void> drain(Running& running, std::chrono::milliseconds) {
  if (running.background) running.background->stop();
  running.background.reset();
  co_return;
}

}  // namespace
}  // namespace ribalta::control

int main(int argc, char** argv) {
  namespace control = ribalta::control;
  auto running = std::make_shared<control::Running>();
  ribalta::Role role{
      .name = "control",
      .read_config = [running](ribalta::ConfigReader& reader) { control::read_config(reader, running->config); },
      .check_config = [running](
                          const ribalta::NodeConfig& node,
                          ribalta::ConfigReader& reader) { control::check_config(running->config, node, reader); },
      .start = [running](ribalta::Node& node,
                         ribalta::http::Router& router) { return control::start(*running, node, router); },
      .health = [running] { return control::health(*running); },
      .drain = [running](std::chrono::milliseconds deadline) { return control::drain(*running, deadline); },
  };
  return ribalta::daemon_main(role, argc, argv);
}
