#include "control-plane/migrations.h"

#include <array>

namespace ribalta::control {
namespace {

const sql::Migration& accounts() {
  static const sql::Migration step{"accounts",
                                   {
                                       R"(CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  password TEXT NOT NULL,                      -- Argon2id in its text form; empty: nobody can sign in
  admin BIGINT NOT NULL CHECK (admin IN (0, 1)),
  creator BIGINT NOT NULL CHECK (creator IN (0, 1)),
  suspended BIGINT NOT NULL CHECK (suspended IN (0, 1)),
  created BIGINT NOT NULL,
  live_title TEXT NOT NULL                     -- of the next broadcast
))",
                                       R"(CREATE TABLE sessions (
  hash TEXT PRIMARY KEY,                       -- of the cookie, which only the browser has
  user_id TEXT NOT NULL REFERENCES users (id),
  created BIGINT NOT NULL,
  used BIGINT NOT NULL,                        -- to the hour
  expires BIGINT NOT NULL
))",
                                       "CREATE INDEX sessions_of_user ON sessions (user_id)",
                                       "CREATE INDEX sessions_by_expiry ON sessions (expires)",
                                       R"(CREATE TABLE api_tokens (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL REFERENCES users (id),
  label TEXT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL,                     -- 0: never
  used BIGINT NOT NULL                         -- to the hour
))",
                                       "CREATE INDEX api_tokens_of_user ON api_tokens (user_id)",
                                       R"(CREATE TABLE facts (
  name TEXT PRIMARY KEY,                       -- `setup_done`
  value TEXT NOT NULL
))",
                                   }};
  return step;
}

const sql::Migration& live() {
  static const sql::Migration step{
      "live",
      {
          R"(CREATE TABLE stream_keys (
  user_id TEXT PRIMARY KEY REFERENCES users (id),
  hash TEXT NOT NULL UNIQUE,                   -- keyed: finds the owner of a key that ingest asks about
  sealed TEXT NOT NULL,                        -- secret box: shows the owner their key
  created BIGINT NOT NULL
))",
          R"(CREATE TABLE streams (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  title TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('starting', 'live', 'interrupted', 'ended')),
  node TEXT NOT NULL,                          -- the ingest that holds the publisher
  epoch BIGINT NOT NULL,                       -- of the publish
  started BIGINT NOT NULL,
  heard BIGINT NOT NULL,                       -- when ingest last said `publishing`
  ended BIGINT NOT NULL,
  health TEXT NOT NULL,                        -- JSON, as ingest last said
  source TEXT NOT NULL,                        -- JSON, as ingest reported it
  plan TEXT NOT NULL,                          -- JSON, the ladder plan; never changes once it is there
  plan_sent BIGINT NOT NULL CHECK (plan_sent IN (0, 1)),
  removed BIGINT NOT NULL CHECK (removed IN (0, 1))  -- its media are gone
))",
          "CREATE UNIQUE INDEX streams_one_at_a_time ON streams (user_id) WHERE state <> 'ended'",
          "CREATE INDEX streams_by_state ON streams (state, started)",
      }};
  return step;
}

const sql::Migration& videos() {
  static const sql::Migration step{"videos",
                                   {
                                       R"(CREATE TABLE videos (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  title TEXT NOT NULL,
  visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private')),
  created BIGINT NOT NULL,
  published BIGINT NOT NULL,                   -- first became ready
  version BIGINT NOT NULL,                     -- that plays; 0: none yet
  versions_made BIGINT NOT NULL,               -- each lease of a job gets a number of its own
  width BIGINT NOT NULL,
  height BIGINT NOT NULL,
  duration_ms BIGINT NOT NULL,
  poster BIGINT NOT NULL CHECK (poster IN (0, 1)),
  upload_id TEXT NOT NULL,                     -- that is being uploaded or processed, or failed; empty: none
  source_upload_id TEXT NOT NULL,              -- that the version was made from
  deleted BIGINT NOT NULL                      -- a deleted video's row stays, so that edges hear of it after a loss of Redis
))",
                                       "CREATE INDEX videos_feed ON videos (visibility, published, id)",
                                       "CREATE INDEX videos_of_user ON videos (user_id, created, id)",
                                       R"(CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  video_id TEXT NOT NULL REFERENCES videos (id),
  user_id TEXT NOT NULL REFERENCES users (id),
  filename TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('draft', 'stored', 'expired')),
  created BIGINT NOT NULL,
  stored BIGINT NOT NULL,
  job_id TEXT NOT NULL                         -- empty while a draft
))",
                                       "CREATE INDEX uploads_of_user ON uploads (user_id, state)",
                                       "CREATE INDEX uploads_of_video ON uploads (video_id)",
                                   }};
  return step;
}

const sql::Migration& work() {
  static const sql::Migration step{"work",
                                   {
                                       R"(CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('live', 'vod')),
  video_id TEXT NOT NULL,                      -- vod, else empty
  upload_id TEXT NOT NULL,
  stream_id TEXT NOT NULL,                     -- live, else empty
  state TEXT NOT NULL CHECK (state IN ('queued', 'leased', 'done', 'failed', 'cancelled')),
  epoch BIGINT NOT NULL,                       -- one more at each lease; results carry it
  attempts BIGINT NOT NULL,
  worker TEXT NOT NULL,
  leased BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  run_after BIGINT NOT NULL,
  stage TEXT NOT NULL,
  progress DOUBLE PRECISION NOT NULL,
  version BIGINT NOT NULL,                     -- vod: the version that this lease writes
  failure_kind TEXT NOT NULL,
  failure_reason TEXT NOT NULL,
  created BIGINT NOT NULL,
  ended BIGINT NOT NULL
))",
                                       "CREATE INDEX jobs_by_state ON jobs (state, kind, run_after)",
                                       "CREATE INDEX jobs_of_video ON jobs (video_id)",
                                       "CREATE INDEX jobs_of_stream ON jobs (stream_id)",
                                       R"(CREATE TABLE errands (
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,                       -- id of the video, upload or stream
  wish BIGINT NOT NULL,                        -- one more each time it is wanted again
  attempts BIGINT NOT NULL,
  run_after BIGINT NOT NULL,
  reason TEXT NOT NULL,                        -- why the last attempt failed
  PRIMARY KEY (kind, subject)
))",
                                       "CREATE INDEX errands_due ON errands (run_after)",
                                   }};
  return step;
}

const sql::Migration& removed_accounts() {
  static const sql::Migration step{"removed accounts",
                                   {
                                       // When; 0: it is there. Its row stays without name, password or rights: rows
                                       // of deleted videos and streams point at it, and edges are told of those.
                                       "ALTER TABLE users ADD COLUMN removed BIGINT NOT NULL DEFAULT 0",
                                   }};
  return step;
}

const sql::Migration& nodes() {
  static const sql::Migration step{"nodes",
                                   {
                                       R"(CREATE TABLE nodes (
  name TEXT PRIMARY KEY,
  secret_hash TEXT NOT NULL,                   -- of the join line's secret; empty once it was used
  certificate TEXT NOT NULL,                   -- SHA-256 in hex; empty until it has joined
  invited BIGINT NOT NULL,
  joined BIGINT NOT NULL                       -- 0: not yet
))",
                                   }};
  return step;
}

}  // namespace

std::span<const sql::Migration> migrations() {
  static const std::array<sql::Migration, 6> steps{accounts(), live(), videos(), work(), removed_accounts(), nodes()};
  return steps;
}

}  // namespace ribalta::control
