// ribalta-follower: on an edge of another machine, what the first node tells of take-downs, into the Redis here.
#include <boost/asio/post.hpp>
#include <memory>

#include "core/daemon.h"
#include "core/units.h"
#include "edge/follower/follower.h"

int main(int argc, char** argv) {
  using namespace ribalta;
  std::shared_ptr<edge::Follower> follower;
  asio::any_io_executor loop;
  const Role role{
      .name = "follower",
      .start = [&follower, &loop](Node& node, http::Router&) -> Result<void> {
        loop = node.loops->loop(0);
        edge::FollowerOptions options{
            .first = {.unix_path = (node.config.run / "first.sock").string(), .host = {}, .port = 0},
            .version = RIBALTA_VERSION,
            .now_ms = [] { return to_unix_ms(wall_now()); }};
        follower = std::make_shared<edge::Follower>(loop, node.redis, std::move(options));
        node.redis->on_connected([follower] { follower->redis_forgot(); });
        spawn_essential(loop, "follow", [follower] { return follower->follow(); });
        return {};
      },
      .health = [&follower] { return follower ? follower->health() : std::string{"starting"}; },
      .drain = [&follower, &loop](std::chrono::milliseconds) -> Task<void> {
        if (follower) asio::post(loop, [held = follower] { held->stop(); });
        co_return;
      },
  };
  return daemon_main(role, argc, argv);
}
