// The JSON of the public API (control-plane/openapi.json) and how it is made from what the stores hold.
#pragma once

#include <boost/describe/class.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/catalogue.h"
#include "control-plane/config.h"
#include "control-plane/identity.h"
#include "control-plane/secrets.h"
#include "control-plane/sessions_store.h"
#include "control-plane/streams_store.h"
#include "control-plane/videos_store.h"

namespace ribalta::control::view {

struct Author {
  std::string id;
  std::string name;
};
BOOST_DESCRIBE_STRUCT(Author, (), (id, name))

struct User {
  std::string id;
  std::string name;
  std::string created;
  bool admin = false;
  bool creator = false;
  bool suspended = false;
};
BOOST_DESCRIBE_STRUCT(User, (), (id, name, created, admin, creator, suspended))

struct Session {
  boost::json::value user;  ///< null: signed out
  boost::json::value csrf;  ///< null: signed out, or by token
};
BOOST_DESCRIBE_STRUCT(Session, (), (user, csrf))

struct Video {
  std::string id;
  std::string title;
  Author author;
  std::string visibility;
  std::string created;
  std::string published;
  std::string hls;
  std::string dash;
  std::optional<std::string> poster;
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t duration_ms = 0;
};
BOOST_DESCRIBE_STRUCT(Video, (),
                      (id, title, author, visibility, created, published, hls, dash, poster, width, height,
                       duration_ms))

struct VideoPage {
  std::vector<Video> items;
  std::optional<std::string> next;
};
BOOST_DESCRIBE_STRUCT(VideoPage, (), (items, next))

struct Failure {
  std::string kind;
  std::string reason;
  bool retryable = false;
};
BOOST_DESCRIBE_STRUCT(Failure, (), (kind, reason, retryable))

struct Work {
  std::string state;
  std::optional<std::string> stage;
  double progress = 0;
  std::int64_t attempt = 0;
  std::string filename;
  std::int64_t bytes = 0;
  std::optional<Failure> failure;
};
BOOST_DESCRIBE_STRUCT(Work, (), (state, stage, progress, attempt, filename, bytes, failure))

struct MyVideo {
  std::string id;
  std::string title;
  std::string visibility;
  std::string created;
  std::string state;
  std::optional<Work> work;
  std::optional<Video> video;
};
BOOST_DESCRIBE_STRUCT(MyVideo, (), (id, title, visibility, created, state, work, video))

struct MyVideoPage {
  std::vector<MyVideo> items;
  std::optional<std::string> next;
  std::int64_t bytes_used = 0;
  std::int64_t bytes_max = 0;
};
BOOST_DESCRIBE_STRUCT(MyVideoPage, (), (items, next, bytes_used, bytes_max))

struct Live {
  std::string stream;
  Author author;
  std::string title;
  std::string state;
  std::string started;
  std::optional<std::string> ended;
  std::string hls;
  std::string dash;
};
BOOST_DESCRIBE_STRUCT(Live, (), (stream, author, title, state, started, ended, hls, dash))

struct LivePage {
  std::vector<Live> items;
};
BOOST_DESCRIBE_STRUCT(LivePage, (), (items))

struct Profile {
  Author user;
  std::string created;
  std::optional<Live> live;
  std::vector<Video> items;
  std::optional<std::string> next;
};
BOOST_DESCRIBE_STRUCT(Profile, (), (user, created, live, items, next))

struct Rung {
  std::string track;
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::string codecs;
  std::int64_t bitrate = 0;
  bool passthrough = false;
};
BOOST_DESCRIBE_STRUCT(Rung, (), (track, width, height, fps, codecs, bitrate, passthrough))

struct Health {
  std::int64_t bitrate = 0;
  double fps = 0;
  std::optional<std::int64_t> keyframe_interval_ms;
};
BOOST_DESCRIBE_STRUCT(Health, (), (bitrate, fps, keyframe_interval_ms))

struct MyLive {
  boost::json::value live;  ///< null: not on
  std::string title;
  std::optional<Health> health;
  std::vector<std::string> warnings;
  std::optional<bool> passthrough;
  std::optional<std::string> passthrough_reason;
  std::vector<Rung> rungs;
  std::string rtmp;
  std::optional<std::string> rtmps;
  bool live_allowed = false;
};
BOOST_DESCRIBE_STRUCT(MyLive, (),
                      (live, title, health, warnings, passthrough, passthrough_reason, rungs, rtmp, rtmps,
                       live_allowed))

struct StreamKey {
  std::string key;
  std::string rtmp;
  std::optional<std::string> rtmps;
  std::string created;
};
BOOST_DESCRIBE_STRUCT(StreamKey, (), (key, rtmp, rtmps, created))

struct Token {
  std::string id;
  std::string label;
  std::string created;
  std::optional<std::string> expires;
  std::optional<std::string> used;
};
BOOST_DESCRIBE_STRUCT(Token, (), (id, label, created, expires, used))

struct TokenPage {
  std::vector<Token> items;
};
BOOST_DESCRIBE_STRUCT(TokenPage, (), (items))

struct TokenMade {
  std::string id;
  std::string token;
  std::optional<std::string> expires;
};
BOOST_DESCRIBE_STRUCT(TokenMade, (), (id, token, expires))

struct AdminUser {
  User user;
  std::optional<std::string> stream_key;
};
BOOST_DESCRIBE_STRUCT(AdminUser, (), (user, stream_key))

/// Makes views: where media are, what may be told to whom.
class Maker {
 public:
  Maker(const Config& config, const Secrets& secrets, std::int64_t now_ms)
      : config_(config), secrets_(secrets), now_ms_(now_ms) {}

  /// A video that plays. `viewer`: its owner gets a token where one is needed.
  [[nodiscard]] Video video(const control::VideoView& view) const;
  [[nodiscard]] MyVideo my_video(const control::VideoView& view) const;
  [[nodiscard]] Live live(const control::Stream& stream) const;
  [[nodiscard]] MyLive my_live(const control::User& user, const std::optional<control::Stream>& stream,
                               const std::optional<control::Job>& job) const;
  [[nodiscard]] StreamKey stream_key(std::string key, std::int64_t created) const;

 private:
  [[nodiscard]] std::optional<std::string> rtmps() const;
  const Config& config_;
  const Secrets& secrets_;
  std::int64_t now_ms_;
};

User user(const control::User& user);
Session session(const control::Identity& identity);
/// Somebody who has just signed in.
Session session(const control::User& signed_in, const std::string& csrf);
Token token(const control::ApiToken& token);
std::string instant(std::int64_t unix_ms);

/// Cursors are opaque to clients: `{instant}-{id}`. @error malformed.
std::string cursor_text(std::int64_t instant, std::string_view id);
Result<control::PageCursor> parse_cursor(std::string_view text);

}  // namespace ribalta::control::view
