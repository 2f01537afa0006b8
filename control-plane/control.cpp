#include "control-plane/control.h"

#include <boost/asio/co_spawn.hpp>
#include <filesystem>
#include <thread>

#include "control-plane/migrations.h"
#include "control-plane/users_store.h"
#include "core/internal_auth.h"
#include "core/log.h"
#include "core/units.h"

namespace ribalta::control {
namespace {

namespace fs = std::filesystem;

/// The other rooms answer at once; a longer wait would hold an errand's place.
constexpr std::chrono::milliseconds kRoomAnswer{5'000};

std::int64_t wall_ms() { return to_unix_ms(wall_now()); }

Result<std::shared_ptr<sql::Database>> open_database(const Node& node, const Config& config) {
  std::string address = config.database;
  if (address.empty()) {
    const fs::path folder = node.config.data / "control";
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail(Code::io, "can't make", folder.string());
    fs::permissions(folder, fs::perms::owner_all, error);  // accounts are in there
    address = "sqlite:" + (folder / "control.sqlite").string();
  }
  // Each commit reaches the disk: an upload that was acknowledged must have its job after a power cut.
  // One for each thread that asks.
  auto database = sql::Database::open(
      {.address = address, .connections = kBlockingPools * kBlockingThreads, .synchronous_full = true});
  if (!database) return database;
  if (auto migrated = sql::migrate(**database, migrations()); !migrated) return pass(migrated);
  return database;
}

Task<Result<redis::Reply>> command_there(std::shared_ptr<redis::Client> client, std::vector<std::string> arguments) {
  co_return co_await client->command(std::move(arguments));
}

}  // namespace

Result<std::shared_ptr<Control>> Control::open(Node& node, Config config, ControlOptions options) {
  const fs::path folder = node.config.data / "secrets";
  auto secrets = Secrets::open(folder);
  if (!secrets) return secrets.error().in("secrets");
  auto database = open_database(node, config);
  if (!database) return database.error().in("database");
  const std::string packager =
      config.packager.empty() ? "unix:" + (node.config.run / "packager.sock").string() : config.packager;
  auto address = http::Address::parse(packager);
  if (!address) return address.error().in("control.packager");
  std::shared_ptr<Control> control{
      new Control{node, std::move(config), std::move(*database), std::move(*secrets), std::move(options)}};
  control->secrets_folder = folder;
  control->packager = std::move(*address);
  if (auto setup = control->read_setup(); !setup) return setup.error().in("set-up");
  return control;
}

Control::Control(Node& on, Config with, std::shared_ptr<sql::Database> db, Secrets kept, ControlOptions options)
    : node(on),
      config(std::move(with)),
      database(std::move(db)),
      secrets(std::move(kept)),
      passwords(options.password_cost),
      nodes(on.loops->loop(0), on.config.run / "nodes"),
      now_ms_(options.now_ms ? std::move(options.now_ms) : wall_ms),
      started_ms_(now_ms_()),
      database_answered_ms_(started_ms_) {}

Result<void> Control::read_setup() {
  auto fact = database->read([](sql::Session& session) { return UsersStore{session}.fact("setup_done"); });
  if (!fact) return pass(fact);
  setup_done_ = fact->has_value();
  if (setup_done_) {
    remove_setup_token(secrets_folder);
    return {};
  }
  auto token = ensure_setup_token(secrets_folder);
  if (!token) return pass(token);
  setup_token_ = std::move(*token);
  return {};
}

std::string Control::health() const {
  return now_ms() - database_answered_ms_ < kDatabaseSilenceMs ? std::string{} : "the database does not answer";
}

std::string Control::setup_token() const { return setup_done_ ? std::string{} : setup_token_; }

UploadRules Control::upload_rules() const {
  return {.upload_bytes_max = config.upload_bytes_max(),
          .user_bytes_max = config.user_bytes_max(),
          .drafts_max = config.drafts_max};
}

VodLimits Control::vod_limits() const {
  return {.duration_ms_max = config.duration_min_max * 60'000,
          .bytes_max = config.upload_bytes_max(),
          .side_max = config.side_max,
          .fps_max = static_cast<double>(config.fps_max)};
}

LiveRules Control::live_rules() {
  return {.keep_ms = config.live_keep_min * 60'000, .resting_s = [this](UserId user) { return resting_s(user); }};
}

LiveFarm Control::farm(std::int64_t live_jobs) const {
  const unsigned here = std::max(1U, std::thread::hardware_concurrency());
  const unsigned cores = config.live_cores > 0 ? static_cast<unsigned>(config.live_cores) : here;
  const std::int64_t each = config.live_jobs_per_worker > 0 ? config.live_jobs_per_worker : std::max(1U, cores / 2);
  LiveFarm farm{.options = media::live_options_for(cores)};
  farm.options.encoded_rungs_max =
      std::min(farm.options.encoded_rungs_max, static_cast<std::size_t>(config.live_rungs_max));
  const std::int64_t known = workers.live_workers(now_ms());
  // Just started: workers that ask every 5 s have not all been heard yet, and there is hardly an instance without one.
  const bool may_come = known == 0 && now_ms() - started_ms_ < Workers::kRememberedMs / 2;
  farm.room = live_jobs < (may_come ? 1 : known) * each;
  return farm;
}

void Control::rest_key(UserId user) {
  const std::lock_guard lock{resting_mutex_};
  std::erase_if(resting_, [now = now_ms()](const auto& entry) { return entry.second <= now; });
  if (resting_.size() < kRestingMax) resting_[user.text()] = now_ms() + kRestAfterEndMs;
}

std::int64_t Control::resting_s(UserId user) {
  const std::lock_guard lock{resting_mutex_};
  const auto found = resting_.find(user.text());
  if (found == resting_.end() || found->second <= now_ms()) return 0;
  return (found->second - now_ms() + 999) / 1000;
}

Task<Result<redis::Reply>> redis_command(Node& node, std::vector<std::string> arguments) {
  if (!node.redis) co_return fail(Code::unavailable, "no Redis");
  Task<Result<redis::Reply>> there = command_there(node.redis, std::move(arguments));
  Result<redis::Reply> reply = co_await asio::co_spawn(node.loops->loop(0), std::move(there), asio::use_awaitable);
  co_return reply;
}

Task<Result<http::Response>> call_room(Node& node, http::Address address, std::string method, std::string target,
                                       std::string body) {
  http::Request request{
      .method = std::move(method), .target = std::move(target), .fields = {}, .body = std::move(body)};
  request.fields.set(kNodeField, sign_internal(node.node_secret, node.id, request.method, request.target, wall_now()));
  if (!request.body.empty()) request.fields.set("Content-Type", "application/json");
  const http::ClientLimits limits{.connect = kRoomAnswer, .answer = kRoomAnswer};
  co_return co_await http::call(std::move(address), std::move(request), limits);
}

}  // namespace ribalta::control
