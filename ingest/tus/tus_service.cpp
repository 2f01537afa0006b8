#include "ingest/tus/tus_service.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/describe/class.hpp>

#include "core/json.h"
#include "core/log.h"
#include "core/units.h"

namespace ribalta::ingest::tus {
namespace {

struct FinishedCall {
  std::string upload;
  std::string video;
  std::string key;
  std::int64_t bytes = 0;
  std::string filename;
};
BOOST_DESCRIBE_STRUCT(FinishedCall, (), (upload, video, key, bytes, filename))
struct EndedCall {
  std::string upload;
  std::string video;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(EndedCall, (), (upload, video, reason))

constexpr std::string_view kOffsetBody = "application/offset+octet-stream";
constexpr unsigned kChecksumMismatch = 460;  // tus' own status

http::Response answer(unsigned status) {
  http::Response response{.status = status};
  response.fields.set("Tus-Resumable", kVersion);
  response.fields.set("Cache-Control", "no-store");
  return response;
}

http::Response refusal(unsigned status, std::string_view code, std::string_view sentence) {
  http::Response response = http::Response::error(status, code, sentence);
  response.fields.set("Tus-Resumable", kVersion);
  response.fields.set("Cache-Control", "no-store");
  return response;
}

http::Response refusal_of(const Error& error) {
  http::Response response = http::Response::of(error);
  if (error.code == Code::unavailable) response.fields.set("Retry-After", "1");
  response.fields.set("Tus-Resumable", kVersion);
  response.fields.set("Cache-Control", "no-store");
  return response;
}

/// Upload-Checksum, where there is one.
Result<std::optional<Checksum>> checksum_of(const http::Fields& fields) {
  if (!fields.has("Upload-Checksum")) return std::optional<Checksum>{};
  Result<Checksum> parsed = parse_checksum(fields.get("Upload-Checksum"));
  if (!parsed) return pass(parsed);
  return std::optional<Checksum>{std::move(*parsed)};
}

http::Response stamped(http::Response response) {
  response.fields.set("Tus-Resumable", kVersion);
  response.fields.set("Cache-Control", "no-store");
  return response;
}

}  // namespace

TusService::TusService(const Rooms& rooms, ObjectStore& objects, Settings settings, Metrics& metrics)
    : rooms_(rooms),
      store_(settings.folder, objects),
      access_(rooms),
      settings_(std::move(settings)),
      bytes_(metrics.counter("ribalta_ingest_upload_bytes_total", "Bytes of uploads that were received")),
      finished_(metrics.counter("ribalta_ingest_uploads_finished_total", "Uploads that are whole and stored")),
      failed_(metrics.counter("ribalta_ingest_upload_errors_total", "Requests of uploads that failed on our side")) {}

void TusService::add_routes(http::Router& router) {
  const auto collection = [this](http::Exchange& exchange, const http::Router::Parameters&) {
    return dispatch(exchange, {});
  };
  const auto one = [this](http::Exchange& exchange, const http::Router::Parameters& parameters) {
    return dispatch(exchange, std::string{http::parameter(parameters, "upload")});
  };
  for (const char* path : {"/files", "/files/"}) {
    for (const char* method : {"OPTIONS", "POST"}) router.add(method, path, collection);
  }
  for (const char* method : {"OPTIONS", "HEAD", "PATCH", "DELETE", "POST"}) router.add(method, "/files/{upload}", one);
}

Task<void> TusService::dispatch(http::Exchange& exchange, std::string upload) {
  const http::RequestHead& head_of = exchange.head();
  // Browsers behind old proxies send POST and say what they mean in a field.
  const std::string_view override_method = head_of.fields.get("X-HTTP-Method-Override");
  const std::string method =
      head_of.method == "POST" && !override_method.empty() ? std::string{override_method} : head_of.method;
  if (method == "OPTIONS") co_return co_await options(exchange);
  if (head_of.fields.get("Tus-Resumable") != kVersion) {
    http::Response response = refusal(412, "tus_version", "Only tus 1.0.0 is spoken here.");
    response.fields.set("Tus-Version", kVersion);
    co_await exchange.respond(std::move(response));
    co_return;
  }
  if (upload.empty() && method == "POST") co_return co_await create(exchange);
  const Result<UploadId> id = UploadId::parse(upload);
  if (!id) {
    http::Response response = refusal(404, "not_found", "There is no such upload.");
    co_await exchange.respond(std::move(response));
    co_return;
  }
  if (method == "HEAD") co_return co_await head(exchange, *id);
  if (method == "PATCH") co_return co_await patch(exchange, *id);
  if (method == "DELETE") co_return co_await terminate(exchange, *id);
  http::Response response = refusal(405, "method", "This method does not fit an upload.");
  co_await exchange.respond(std::move(response));
}

Task<void> TusService::options(http::Exchange& exchange) {
  http::Response response = answer(204);
  response.fields.set("Tus-Version", kVersion);
  response.fields.set("Tus-Extension", kExtensions);
  response.fields.set("Tus-Checksum-Algorithm", kChecksums);
  response.fields.set("Tus-Max-Size", std::to_string(kUploadBytesMax));
  co_await exchange.respond(std::move(response));
}

http::Response TusService::progress(const UploadRecord& record, std::int64_t offset, unsigned status) const {
  http::Response response = answer(status);
  response.fields.set("Upload-Offset", std::to_string(offset));
  response.fields.set("Ribalta-Video", record.video);
  if (record.state == UploadState::receiving) {
    response.fields.set("Upload-Expires", http_date(to_unix_ms(wall_now()) + settings_.lifetime.count()));
  }
  return response;
}

Task<void> TusService::create(http::Exchange& exchange) {
  const http::Fields& fields = exchange.head().fields;
  http::Response refused;
  const Result<std::int64_t> bytes = parse_size(fields.get("Upload-Length"));
  const Result<Metadata> metadata = Metadata::parse(fields.get("Upload-Metadata"));
  const bool with_body = fields.get("Content-Type") == kOffsetBody;
  const Result<std::optional<Checksum>> checksum = checksum_of(fields);
  if (!bytes || !metadata || !checksum) {
    refused = refusal_of(!bytes ? bytes.error() : !metadata ? metadata.error() : checksum.error());
    if (!checksum) refused.status = 400;  // as for PATCH, also where the algorithm is not known
    co_await exchange.respond(std::move(refused));
    co_return;
  }
  std::string filename{metadata->get("filename").empty() ? metadata->get("name") : metadata->get("filename")};
  Credentials credentials = credentials_of(exchange.head());
  const auto authorised =
      co_await access_.authorise(std::move(credentials), *bytes, filename, std::string{metadata->get("title")},
                                 std::string{metadata->get("replaces")});
  if (!authorised) {
    refused = stamped(authorised.error());
    co_await exchange.respond(std::move(refused));
    co_return;
  }
  UploadRecord record{.upload = authorised->upload.text(),
                      .video = authorised->video.text(),
                      .user = authorised->user,
                      .bytes = *bytes,
                      .filename = std::move(filename),
                      .metadata = std::string{fields.get("Upload-Metadata")},
                      .created_unix_ms = to_unix_ms(wall_now())};
  const Result<void> created = co_await run_blocking([this, &record] { return store_.create(record); });
  if (!created) {
    failed_.add();
    log_error("an upload cannot begin", {{"upload", record.upload}, {"reason", created.error()}});
    record.state = UploadState::ended;
    record.reason = "terminated";
    tell_of(exchange.loop(), record);
    refused = refusal_of(created.error());
    co_await exchange.respond(std::move(refused));
    co_return;
  }
  log_info("upload begun", {{"upload", record.upload}, {"video", record.video}, {"bytes", record.bytes}});
  http::Response response;
  if (with_body || record.bytes == 0) {
    std::unique_ptr<UploadLock> lock = co_await locks_.lock(authorised->upload, exchange);
    if (lock) response = co_await receive(exchange, record, *lock, 0, *checksum, 201);
  } else {
    response = progress(record, 0, 201);
  }
  response.fields.set("Location", "/files/" + record.upload);
  co_await exchange.respond(std::move(response));
}

Task<std::expected<UploadRecord, http::Response>> TusService::admit(const http::RequestHead& request, UploadId upload) {
  Credentials credentials = credentials_of(request);
  const auto allowed = co_await access_.check(std::move(credentials), upload);
  if (!allowed) co_return std::unexpected{stamped(allowed.error())};
  co_return co_await reload(upload);
}

Task<std::expected<UploadRecord, http::Response>> TusService::reload(UploadId upload) {
  Result<UploadRecord> record = co_await run_blocking([this, upload] { return store_.load(upload); });
  if (!record) co_return std::unexpected{refusal_of(record.error())};
  if (record->state == UploadState::ended)
    co_return std::unexpected{refusal(410, "gone", "This upload was ended or has expired.")};
  co_return std::move(*record);
}

Task<void> TusService::head(http::Exchange& exchange, UploadId upload) {
  std::expected<UploadRecord, http::Response> record = co_await admit(exchange.head(), upload);
  http::Response response;
  if (!record) {
    response = std::move(record.error());
  } else {
    response = co_await state_of(exchange, upload, *record);
  }
  co_await exchange.respond(std::move(response));
}

/// A full offset means "done" to clients: it is said only once the file is durable. Until then one byte is missing.
Task<http::Response> TusService::state_of(http::Exchange& exchange, UploadId upload, UploadRecord& record) {
  Result<std::int64_t> offset = co_await run_blocking([this, &record] { return store_.offset(record); });
  if (!offset) co_return refusal_of(offset.error());
  if (*offset == record.bytes && record.state == UploadState::receiving) {
    const std::unique_ptr<UploadLock> lock = co_await locks_.lock(upload, exchange);
    if (lock) {
      std::expected<UploadRecord, http::Response> now = co_await reload(upload);
      if (!now) co_return std::move(now.error());
      record = std::move(*now);
      if (record.state == UploadState::receiving) {
        const Result<void> stored = co_await finish(record);
        if (!stored) co_return refusal_of(stored.error());
      }
    } else {
      *offset -= 1;
    }
  }
  http::Response response = progress(record, *offset, 200);
  response.fields.set("Upload-Length", std::to_string(record.bytes));
  if (!record.metadata.empty()) response.fields.set("Upload-Metadata", record.metadata);
  co_return response;
}

Task<void> TusService::patch(http::Exchange& exchange, UploadId upload) {
  const http::Fields& fields = exchange.head().fields;
  http::Response response;
  const Result<std::int64_t> wanted = parse_size(fields.get("Upload-Offset"));
  const Result<std::optional<Checksum>> checksum = checksum_of(fields);
  if (fields.get("Content-Type") != kOffsetBody) {
    response = refusal(415, "content_type", "PATCH carries application/offset+octet-stream.");
  } else if (!wanted || !checksum) {
    const Error& error = wanted ? checksum.error() : wanted.error();
    response = refusal(400, to_string(error.code), error.message);
  } else {
    // Who asks comes first: a stranger must not be able to hold an upload's lock, or cut its writer.
    const std::expected<UploadRecord, http::Response> record = co_await admit(exchange.head(), upload);
    std::unique_ptr<UploadLock> lock;
    if (record) lock = co_await locks_.lock(upload, exchange);
    if (!record) {
      response = record.error();
    } else if (!lock) {
      response = refusal(423, "locked", "This upload is being written by another connection.");
    } else {
      response = co_await patch_locked(exchange, upload, *lock, *wanted, *checksum);
    }
  }
  co_await exchange.respond(std::move(response));
}

Task<http::Response> TusService::patch_locked(http::Exchange& exchange, UploadId upload, UploadLock& lock,
                                              std::int64_t wanted, std::optional<Checksum> checksum) {
  std::expected<UploadRecord, http::Response> record = co_await reload(upload);
  if (!record) co_return std::move(record.error());
  const Result<std::int64_t> offset = co_await run_blocking([this, &record]() -> Result<std::int64_t> {
    if (const Result<void> cut = drop_unchecked(*record); !cut) return pass(cut);
    return store_.offset(*record);
  });
  if (!offset) co_return refusal_of(offset.error());
  if (*offset != wanted) {
    http::Response response = refusal(409, "offset", "The upload stands at " + std::to_string(*offset) + ".");
    response.fields.set("Upload-Offset", std::to_string(*offset));
    co_return response;
  }
  co_return co_await receive(exchange, *record, lock, *offset, std::move(checksum), 204);
}

/// Takes the body from `offset` on and answers; the last byte is followed by storing the whole.
Task<http::Response> TusService::receive(http::Exchange& exchange, UploadRecord& record, UploadLock& lock,
                                         std::int64_t offset, std::optional<Checksum> checksum, unsigned status) {
  const UploadId upload = UploadId::parse(record.upload).value();
  std::optional<Hasher> hasher;
  if (checksum && record.state == UploadState::receiving) {
    hasher.emplace(checksum->kind);
    record.unchecked_from = offset;
    const Result<void> noted = co_await run_blocking<Lane::admitted>([this, &record] { return store_.save(record); });
    if (!noted) co_return refusal_of(noted.error());
  }
  const Result<std::int64_t> written =
      co_await write_body(exchange, upload, lock, offset, record.bytes, hasher ? &*hasher : nullptr);
  bool matches = true;
  if (hasher) {
    matches = written.has_value() && hasher->finish() == checksum->digest;
    if (!matches) {
      const Result<void> cut = co_await take_back(upload, offset);
      if (!cut) co_return refusal_of(cut.error());
    }
    record.unchecked_from.reset();
    const Result<void> noted = co_await run_blocking<Lane::admitted>([this, &record] { return store_.save(record); });
    if (!noted) co_return refusal_of(noted.error());
  }
  if (!written) {
    if (written.error().code == Code::limit) {  // its first bytes must not pass for the whole that it is not
      const Result<void> cut = co_await take_back(upload, offset);
      if (!cut) co_return refusal_of(cut.error());
    }
    if (written.error().code != Code::closed) {
      failed_.add();
      log_warning("an upload was interrupted", {{"upload", record.upload}, {"reason", written.error()}});
    }
    if (written.error().code == Code::no_space) {
      co_return refusal(507, "no_space", "The server's disk is full. What was sent is kept; please go on later.");
    }
    co_return refusal_of(written.error());
  }
  if (!matches)
    co_return refusal(kChecksumMismatch, "checksum", "The bytes are not those that the checksum was made of.");
  if (*written == record.bytes && record.state == UploadState::receiving) {
    const Result<void> stored = co_await finish(record);
    if (!stored) co_return refusal_of(stored.error());
  }
  co_return progress(record, *written, status);
}

Task<Result<void>> TusService::take_back(UploadId upload, std::int64_t offset) {
  co_return co_await run_blocking<Lane::admitted>([this, upload, offset]() -> Result<void> {
    Result<UploadFile> file = store_.open(upload);
    if (!file) return pass(file);
    return file->truncate(offset);
  });
}

/// @return the offset behind the last byte that is on disk. What came before an interruption is kept.
/// @error limit: more bytes than the upload has; closed, timeout: the client is gone; no_space; io.
Task<Result<std::int64_t>> TusService::write_body(http::Exchange& exchange, UploadId upload, UploadLock& lock,
                                                  std::int64_t offset, std::int64_t bytes_max, Hasher* hasher) {
  std::optional<UploadFile> file;
  Bytes gathered;
  std::optional<Error> ended;
  auto ask_again = std::chrono::steady_clock::now() + kAccessLifetime;
  while (true) {
    const Result<ByteSpan> piece = co_await exchange.read_some();
    lock.heard();
    if (!piece) ended = piece.error();
    const bool last = !piece || piece->empty();
    if (!last) {
      const auto room = static_cast<std::size_t>(bytes_max - offset - static_cast<std::int64_t>(gathered.size()));
      if (piece->size() > room) ended = Error{Code::limit, "more bytes than Upload-Length says"};
      const ByteSpan fits = piece->first(std::min(piece->size(), room));
      if (hasher != nullptr) hasher->add(fits);
      gathered.insert(gathered.end(), fits.begin(), fits.end());
    }
    if (lock.taken_over()) co_return fail(Code::closed, "another connection goes on with this upload");
    if (!last && std::chrono::steady_clock::now() >= ask_again) {
      ask_again = std::chrono::steady_clock::now() + kAccessLifetime;
      Credentials credentials = credentials_of(exchange.head());
      const auto allowed = co_await access_.check(std::move(credentials), upload);
      // While the control plane is down, what was let in goes on.
      if (!allowed && allowed.error().status < 500) {
        co_return fail(Code::forbidden, "This upload is no longer allowed.");
      }
    }
    if (!gathered.empty() && (last || ended || gathered.size() >= kWriteBytes)) {
      if (!file) {
        Result<UploadFile> opened =
            co_await run_blocking<Lane::admitted>([this, upload] { return store_.open(upload); });
        if (!opened) co_return pass(opened);
        file.emplace(std::move(*opened));
      }
      const Result<void> written = co_await run_blocking<Lane::admitted>([&] { return file->write(offset, gathered); });
      if (!written) co_return pass(written);
      bytes_.add(static_cast<double>(gathered.size()));
      offset += static_cast<std::int64_t>(gathered.size());
      gathered.clear();
    }
    if (ended) co_return std::unexpected{*ended};
    if (last) co_return offset;
  }
}

/// Makes the whole file durable in the object store, then tells the control plane in the background.
Task<Result<void>> TusService::finish(UploadRecord& record) {
  const Result<void> stored = co_await run_blocking<Lane::admitted>([this, &record] { return store_.store(record); });
  if (!stored) {
    failed_.add();
    log_error("a whole upload cannot be stored", {{"upload", record.upload}, {"reason", stored.error()}});
    co_return stored;
  }
  finished_.add();
  log_info("upload stored", {{"upload", record.upload}, {"video", record.video}, {"bytes", record.bytes}});
  const asio::any_io_executor loop = co_await asio::this_coro::executor;
  tell_of(loop, record);
  co_return Result<void>{};
}

/// In the background, and again after an exception: an upload that nobody was told of is a video that never comes.
void TusService::tell_of(const asio::any_io_executor& loop, const UploadRecord& record) {
  spawn_lasting(loop, "tell of an upload", [this, record] { return tell(record); });
}

/// Until the control plane answers; what was told is noted, so that a restart does not begin again.
Task<void> TusService::tell(UploadRecord record) {
  const bool finished = record.state == UploadState::stored;
  const std::string target = finished ? "/internal/v1/uploads/finished" : "/internal/v1/uploads/ended";
  const std::string body = finished ? json_write(FinishedCall{record.upload, record.video, upload_key(record.upload),
                                                              record.bytes, record.filename})
                                    : json_write(EndedCall{record.upload, record.video, record.reason});
  BackOff back_off{std::chrono::milliseconds{250}, std::chrono::seconds{30}};
  while (true) {
    std::string path = target;
    std::string copy = body;
    const Result<http::Response> told = co_await rooms_.control("POST", std::move(path), std::move(copy));
    if (told && told->status == 200) break;
    if (told && told->status == 404) break;  // the video was deleted meanwhile
    log_warning("the control plane was not told of an upload",
                {{"upload", record.upload},
                 {"reason", told ? std::to_string(told->status) + " " + told->body : told.error().message}});
    const std::chrono::milliseconds pause = back_off.next();
    co_await sleep_for(pause);
  }
  const UploadId upload = UploadId::parse(record.upload).value();
  if (!finished) {
    co_await run_blocking<Lane::background>([this, upload] { store_.forget(upload); });
    co_return;
  }
  record.state = UploadState::finished;
  const Result<void> noted = co_await run_blocking<Lane::background>([this, &record] { return store_.save(record); });
  if (!noted) log_warning("an upload will be told of again", {{"upload", record.upload}, {"reason", noted.error()}});
}

Task<void> TusService::terminate(http::Exchange& exchange, UploadId upload) {
  const std::expected<UploadRecord, http::Response> record = co_await admit(exchange.head(), upload);
  http::Response response;
  if (!record) {
    response = record.error();
  } else {
    const std::unique_ptr<UploadLock> lock = co_await locks_.lock(upload, exchange);
    if (lock) {
      response = co_await terminate_locked(exchange, upload);
    } else {
      response = refusal(423, "locked", "This upload is being written by another connection.");
    }
  }
  co_await exchange.respond(std::move(response));
}

/// Whoever has the lock first decides: after a PATCH that brought the last byte there is nothing left to end, and after
/// this there is nothing left to go on with (410). The record is read under the lock, so that neither sees the past.
Task<http::Response> TusService::terminate_locked(http::Exchange& exchange, UploadId upload) {
  std::expected<UploadRecord, http::Response> record = co_await reload(upload);
  if (!record) co_return std::move(record.error());
  if (record->state != UploadState::receiving) {
    co_return refusal(403, "finished", "This upload is finished; delete its video instead.");
  }
  const Result<void> ended =
      co_await run_blocking<Lane::admitted>([this, &record] { return store_.end(*record, "terminated"); });
  if (!ended) co_return refusal_of(ended.error());
  tell_of(exchange.loop(), *record);
  co_return answer(204);
}

Result<void> TusService::start(const asio::any_io_executor& loop) {
  const Result<void> prepared = store_.prepare();
  if (!prepared) return prepared;
  for (const UploadId upload : store_.all()) {
    const Result<UploadRecord> record = store_.load(upload);
    if (!record) {
      log_warning("an upload's record cannot be read", {{"upload", upload.view()}, {"reason", record.error()}});
      continue;
    }
    spawn_lasting(loop, "resume an upload", [this, upload] { return resume(upload); });
  }
  spawn_essential(loop, "sweep uploads", [this, loop] { return sweep(*this, loop); });
  return {};
}

Result<void> TusService::drop_unchecked(UploadRecord& record) {
  if (!record.unchecked_from) return {};
  Result<UploadFile> file = store_.open(UploadId::parse(record.upload).value());
  if (!file) return pass(file);
  if (const Result<void> shortened = file->truncate(*record.unchecked_from); !shortened) return shortened;
  record.unchecked_from.reset();
  return store_.save(record);
}

Task<void> TusService::resume(UploadId upload) {
  const std::unique_ptr<UploadLock> lock = locks_.try_lock(upload);
  if (!lock) co_return;  // a client goes on with it already
  Result<UploadRecord> record = co_await run_blocking<Lane::background>([this, upload] { return store_.load(upload); });
  if (!record) co_return;
  if (record->state == UploadState::stored || record->state == UploadState::ended) {
    const asio::any_io_executor loop = co_await asio::this_coro::executor;
    tell_of(loop, *record);
    co_return;
  }
  if (record->state != UploadState::receiving) co_return;
  const Result<std::int64_t> offset =
      co_await run_blocking<Lane::background>([this, &record]() -> Result<std::int64_t> {
        if (const Result<void> cut = drop_unchecked(*record); !cut) return pass(cut);
        return store_.offset(*record);
      });
  if (!offset) {
    log_warning("an upload's unchecked bytes stay hidden", {{"upload", record->upload}, {"reason", offset.error()}});
    co_return;
  }
  if (*offset != record->bytes) co_return;
  const Result<void> stored = co_await finish(*record);
  if (!stored) log_warning("a whole upload waits to be stored", {{"upload", record->upload}});
}

Task<void> TusService::sweep(TusService& self, asio::any_io_executor loop) {
  while (true) {
    co_await sleep_for(std::min<std::chrono::milliseconds>(kSweepEvery, self.settings_.lifetime));
    co_await self.sweep_once(loop);
  }
}

Task<void> TusService::sweep_once(asio::any_io_executor loop) {
  const std::vector<UploadId> uploads = co_await run_blocking<Lane::background>([this] { return store_.all(); });
  for (const UploadId upload : uploads) {
    const std::unique_ptr<UploadLock> lock = locks_.try_lock(upload);
    if (!lock) continue;
    const std::int64_t oldest = to_unix_ms(wall_now()) - settings_.lifetime.count();
    const std::int64_t touched =
        co_await run_blocking<Lane::background>([this, upload] { return store_.touched_unix_ms(upload); });
    if (touched == 0 || touched > oldest) continue;
    Result<UploadRecord> record =
        co_await run_blocking<Lane::background>([this, upload] { return store_.load(upload); });
    if (!record) continue;
    if (record->state == UploadState::finished) {
      co_await run_blocking<Lane::background>([this, upload] { store_.forget(upload); });
    } else if (record->state == UploadState::receiving) {
      const Result<void> ended =
          co_await run_blocking<Lane::background>([this, &record] { return store_.end(*record, "expired"); });
      if (!ended) continue;
      log_info("upload expired", {{"upload", record->upload}, {"video", record->video}});
      tell_of(loop, *record);
    }
  }
}

}  // namespace ribalta::ingest::tus
