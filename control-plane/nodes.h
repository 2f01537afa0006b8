// The other nodes of this instance (docs/running.md, "A second node"). An administrator invites one by name and gets a
// secret that is good once; the node comes to the node port with a certificate of its own and that secret, and from
// then on the certificate is who it is. nginx reads who they are from a file (edge/node_list.h), so that removing one
// counts from its next request on, and none of its requests waits for us.
//
// A node follows the notices: what was taken down, hidden or shown again. It asks for what came after its cursor and is
// held until there is something; each question is its heartbeat. Notices are kept in memory only: whoever was away for
// too long, or meets a restarted control plane, is told that it lost some, and reads all that is restricted anew.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/nodes_store.h"
#include "control-plane/outcome.h"
#include "control-plane/secrets.h"
#include "core/async.h"
#include "core/ids.h"

namespace ribalta::control {

inline constexpr std::size_t kOtherNodesMax = 64;
inline constexpr std::size_t kNodeNameCharsMax = 32;
inline constexpr std::int64_t kInvitationMs = 24 * 3'600'000;
/// Notices remembered for those who follow: at a hundred take-downs a second, who was away for 40 s reads all anew.
inline constexpr std::size_t kNoticesKept = 4'096;
/// In one answer: 64 KB of JSON.
inline constexpr std::size_t kNoticesPageMax = 1'000;
/// A question is held this long when there is nothing new: also how often a node is heard of.
inline constexpr std::chrono::milliseconds kNoticesHeld{4'000};
/// Not heard of for so long, a node counts as down: two questions that did not come, and some.
inline constexpr std::int64_t kNodeSilenceMs = 12'000;

struct Notice {
  std::string kind;    ///< `video` or `stream`
  std::string id;      ///< public id
  std::string access;  ///< of a video: `public`, `token`, `gone`; of a stream: `gone`
};
BOOST_DESCRIBE_STRUCT(Notice, (), (kind, id, access))

struct NoticesPage {
  std::string cursor;  ///< for the next question
  bool lost = false;   ///< some that came after the cursor are not known any more
  std::vector<Notice> items;
};
BOOST_DESCRIBE_STRUCT(NoticesPage, (), (cursor, lost, items))

/// Who was heard of when, who may follow, and what there is to tell them.
class Nodes {
 public:
  /// `list`: the file that nginx reads.
  Nodes(asio::any_io_executor loop, std::filesystem::path list);

  // --- on the loop that it was made with ---
  void note(Notice notice);
  /// What came after the cursor, or nothing new within `limit`. An unknown cursor (the empty one) has lost some at
  /// once.
  Task<NoticesPage> after(std::string cursor, std::chrono::milliseconds limit);
  /// Those who are held look up.
  void wake() { news_.notify_all(); }

  // --- from any thread ---
  /// Writes the file whole or not at all, and knows them from now on. Blocks.
  Result<void> list(const std::vector<OtherNode>& nodes);
  [[nodiscard]] bool is_listed(std::string_view name);
  void heard(std::string_view name, std::string_view version, std::int64_t now);
  struct Heard {
    std::int64_t when = 0;
    std::string version;
  };
  std::optional<Heard> last_heard(std::string_view name);
  /// Held while the list is read from SQL and written: two changes at once end with the later one.
  std::mutex& listing() { return listing_; }

 private:
  NoticesPage page_after(const std::string& cursor) const;
  [[nodiscard]] std::string cursor_at(std::uint64_t number) const;

  std::filesystem::path list_;
  Event news_;
  std::string epoch_;                ///< of this process: cursors of an earlier one are unknown
  std::uint64_t noted_ = 0;          ///< how many there were ever
  std::deque<Notice> kept_;          ///< the last of them
  std::mutex mutex_;                 ///< guards what follows
  std::vector<std::string> listed_;  ///< names
  std::map<std::string, Heard, std::less<>> heard_;
  std::mutex listing_;
};

/// The secret of a new invitation, whose hash was stored. An earlier one that nobody used is replaced.
/// @refusal 400 bad_name; 409 node_exists, nodes_max.
Result<Outcome<std::string>> invite_node(sql::Session& session, const Secrets& secrets, std::string_view name,
                                         std::int64_t now);
struct JoinRequest {
  std::string name;
  std::string secret;
};
BOOST_DESCRIBE_STRUCT(JoinRequest, (), (name, secret))

/// The certificate is that node from now on. The same node asking again with the same one is welcome: the first answer
/// may not have reached it. @refusal 403 no_invitation: not invited, used, expired or another secret: not told apart.
Result<Outcome<void>> join_node(sql::Session& session, const Secrets& secrets, const JoinRequest& request,
                                std::string_view certificate, std::int64_t now);
/// @refusal 404 not_found.
Result<Outcome<void>> remove_node(sql::Session& session, std::string_view name);

struct NodeState {
  std::string name;
  std::string state;  ///< `invited` or `joined`
  bool healthy = true;
  std::string message;  ///< `ok`, or what there is to say
  std::string version;  ///< as it last said; empty: not heard of
};
BOOST_DESCRIBE_STRUCT(NodeState, (), (name, state, healthy, message, version))

NodeState node_state(const OtherNode& node, const std::optional<Nodes::Heard>& heard, std::int64_t started,
                     std::int64_t now);

}  // namespace ribalta::control
