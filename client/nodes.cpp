#include <boost/describe/class.hpp>
#include <cstdio>

#include "client/commands.h"

namespace ribalta::client {
namespace {

struct NodeNew {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(NodeNew, (), (name))
struct Invitation {
  std::string secret;
  std::string expires;
};
BOOST_DESCRIBE_STRUCT(Invitation, (), (secret, expires))
struct JoinLine {
  std::string name;
  std::string join;
  std::string expires;
};
BOOST_DESCRIBE_STRUCT(JoinLine, (), (name, join, expires))

int refuse(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

int node_add(const std::filesystem::path& data, const std::string& name, bool json) {
  const Result<Instance> instance = Instance::open(data);
  if (!instance) return refuse(instance.error());
  if (!instance->is_edge() && instance->node_address().empty()) {
    return refuse(
        {Code::unsupported, "The port for other nodes is not open. Start this instance with --share ADDRESS."});
  }
  const Result<std::string> answer = instance->admin_call("POST", "/admin/nodes", json_write(NodeNew{name}));
  if (!answer) return refuse(answer.error());
  const Result<Invitation> made = json_read<Invitation>(*answer, JsonUnknown::ignore);
  if (!made) return refuse(made.error());
  const JoinLine line{name,
                      name + "@" + instance->node_address() + "/" + made->secret + "/" + instance->node_fingerprint(),
                      made->expires};
  if (json) {
    std::printf("%s\n", json_write(line).c_str());
    return 0;
  }
  std::printf("On the other machine, in a checkout of Ribalta of this version:\n\n");
  std::printf("  scripts/up --role edge --listen 0.0.0.0 --join %s\n\n", line.join.c_str());
  std::printf("The line is good once, until %s. ribalta status shows the node.\n", line.expires.c_str());
  return 0;
}

int node_remove(const std::filesystem::path& data, const std::string& name) {
  const Result<Instance> instance = Instance::open(data);
  if (!instance) return refuse(instance.error());
  const Result<std::string> answer = instance->admin_call("DELETE", "/admin/nodes/" + http::percent_encode(name));
  if (!answer) return refuse(answer.error());
  std::printf("%s gets nothing from this node any more. What is in its cache stays there: stop it, too.\n",
              name.c_str());
  return 0;
}

}  // namespace ribalta::client
