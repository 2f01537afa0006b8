#include "control-plane/nodes.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "core/tokens.h"
#include "core/units.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kSecretUse = "node";
constexpr std::size_t kSecretCharsMax = 128;
constexpr std::size_t kCertificateHexChars = 64;

bool is_node_name(std::string_view name) {
  return !name.empty() && name.size() <= kNodeNameCharsMax && name.front() != '-' &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_certificate(std::string_view text) {
  return text.size() == kCertificateHexChars &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string seconds(std::int64_t ms) { return std::to_string(ms / 1000) + " s"; }

}  // namespace

Nodes::Nodes(asio::any_io_executor loop, std::filesystem::path list) : list_(std::move(list)), news_(std::move(loop)) {
  const auto epoch = random_id();
  epoch_.assign(epoch.data(), epoch.size());
}

std::string Nodes::cursor_at(std::uint64_t number) const { return epoch_ + "-" + std::to_string(number); }

void Nodes::note(Notice notice) {
  kept_.push_back(std::move(notice));
  if (kept_.size() > kNoticesKept) kept_.pop_front();
  ++noted_;
  news_.notify_all();
}

NoticesPage Nodes::page_after(const std::string& cursor) const {
  NoticesPage page{.cursor = cursor_at(noted_), .lost = true, .items = {}};
  const std::string prefix = epoch_ + "-";
  if (!cursor.starts_with(prefix)) return page;
  std::uint64_t number = 0;
  const char* const end = cursor.data() + cursor.size();
  const auto [stopped, error] = std::from_chars(cursor.data() + prefix.size(), end, number);
  if (error != std::errc{} || stopped != end || number > noted_ || noted_ - number > kept_.size()) return page;
  page.lost = false;
  const auto first = kept_.end() - static_cast<std::ptrdiff_t>(noted_ - number);
  const std::uint64_t count = std::min<std::uint64_t>(noted_ - number, kNoticesPageMax);
  page.items.assign(first, first + static_cast<std::ptrdiff_t>(count));
  page.cursor = cursor_at(number + count);
  return page;
}

Task<NoticesPage> Nodes::after(std::string cursor, std::chrono::milliseconds limit) {
  const std::uint64_t seen = news_.version();
  NoticesPage page = page_after(cursor);
  if (page.lost || !page.items.empty()) co_return page;
  co_await news_.wait(seen, limit);
  co_return page_after(cursor);
}

Result<void> Nodes::list(const std::vector<OtherNode>& nodes) {
  std::string text;
  std::vector<std::string> names;
  for (const OtherNode& node : nodes) {
    if (!node.has_joined()) continue;
    text += node.certificate + " " + node.name + "\n";
    names.push_back(node.name);
  }
  const std::string fresh = list_.string() + ".new";
  std::ofstream out{fresh, std::ios::binary | std::ios::trunc};
  out << text;
  out.close();
  if (!out) return fail(Code::io, "can't write", fresh);
  std::error_code error;
  std::filesystem::rename(fresh, list_, error);
  if (error) return fail(Code::io, "can't write", list_.string());
  const std::lock_guard lock{mutex_};
  listed_ = std::move(names);
  std::erase_if(heard_, [this](const auto& entry) { return std::ranges::find(listed_, entry.first) == listed_.end(); });
  return {};
}

bool Nodes::is_listed(std::string_view name) {
  const std::lock_guard lock{mutex_};
  return std::ranges::find(listed_, name) != listed_.end();
}

void Nodes::heard(std::string_view name, std::string_view version, std::int64_t now) {
  const std::lock_guard lock{mutex_};
  heard_.insert_or_assign(std::string{name}, Heard{now, std::string{version}});
}

std::optional<Nodes::Heard> Nodes::last_heard(std::string_view name) {
  const std::lock_guard lock{mutex_};
  const auto found = heard_.find(name);
  if (found == heard_.end()) return std::nullopt;
  return found->second;
}

Result<Outcome<std::string>> invite_node(sql::Session& session, const Secrets& secrets, std::string_view name,
                                         std::int64_t now) {
  if (!is_node_name(name))
    return refuse(400, "bad_name", "A node's name has 1 to 32 characters: a to z, 0 to 9 and -.");
  NodesStore nodes{session};
  auto known = nodes.by_name(name);
  if (!known) return pass(known);
  if (*known && (*known)->has_joined()) {
    return refuse(409, "node_exists",
                  "There is a node " + std::string{name} + " already. Remove it first, or choose another name.");
  }
  if (*known) {
    if (auto removed = nodes.remove(name); !removed) return pass(removed);
  }
  auto all = nodes.all();
  if (!all) return pass(all);
  if (all->size() >= kOtherNodesMax) {
    return refuse(409, "nodes_max", std::to_string(kOtherNodesMax) + " nodes are the most an instance may have.");
  }
  std::string secret = random_secret("rn_");
  const OtherNode node{.name = std::string{name},
                       .secret_hash = secrets.hash(kSecretUse, secret),
                       .certificate = {},
                       .invited = now,
                       .joined = 0};
  if (auto inserted = nodes.insert(node); !inserted) return pass(inserted);
  return Outcome<std::string>{std::move(secret)};
}

Result<Outcome<void>> join_node(sql::Session& session, const Secrets& secrets, const JoinRequest& request,
                                std::string_view certificate, std::int64_t now) {
  const auto refused = []() -> Result<Outcome<void>> {
    return refuse(403, "no_invitation",
                  "The join line is not good: it was used, or is over a day old, or the node was removed. Make a new "
                  "one with: ribalta node add NAME");
  };
  if (!is_certificate(certificate)) return refused();
  if (!is_node_name(request.name) || request.secret.size() > kSecretCharsMax) return refused();
  NodesStore nodes{session};
  auto node = nodes.by_name(request.name);
  if (!node) return pass(node);
  if (!*node) return refused();
  if ((*node)->certificate == certificate) return Outcome<void>{};
  const bool open = !(*node)->has_joined() && now - (*node)->invited < kInvitationMs;
  if (!open || !equal_constant_time(secrets.hash(kSecretUse, request.secret), (*node)->secret_hash)) return refused();
  if (auto joined = nodes.set_joined(request.name, certificate, now); !joined) return pass(joined);
  return Outcome<void>{};
}

Result<Outcome<void>> remove_node(sql::Session& session, std::string_view name) {
  NodesStore nodes{session};
  auto node = nodes.by_name(name);
  if (!node) return pass(node);
  if (!*node) return refuse(404, "not_found", "There is no node of that name.");
  if (auto removed = nodes.remove(name); !removed) return pass(removed);
  return Outcome<void>{};
}

NodeState node_state(const OtherNode& node, const std::optional<Nodes::Heard>& heard, std::int64_t started,
                     std::int64_t now) {
  NodeState state{.name = node.name, .state = "joined", .healthy = true, .message = "ok", .version = {}};
  if (!node.has_joined()) {
    const std::int64_t until = node.invited + kInvitationMs;
    state.state = "invited";
    state.message = now < until ? "invited; its join line is good until " + to_rfc3339(from_unix_ms(until))
                                : "its join line is over a day old; ribalta node add makes a new one";
    return state;
  }
  if (heard) state.version = heard->version;
  const std::int64_t silence = now - (heard ? heard->when : started);
  state.healthy = silence < kNodeSilenceMs;
  if (!state.healthy && heard) state.message = "not heard of for " + seconds(silence);
  if (!heard) state.message = "not heard of since the control plane started, " + seconds(silence) + " ago";
  return state;
}

}  // namespace ribalta::control
