#include "ingest/tus/upload_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "core/json.h"

namespace ribalta::ingest::tus {
namespace {

constexpr std::size_t kRecordBytesMax = 64 * 1024;

std::optional<std::int64_t> size_of_file(const std::filesystem::path& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_size;
}

std::int64_t modified_unix_ms(const std::filesystem::path& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return 0;
  return std::int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}

}  // namespace

std::string upload_key(std::string_view upload) { return "uploads/" + std::string{upload}; }

UploadFile::~UploadFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<void> UploadFile::write(std::int64_t offset, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write upload");
    offset += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> UploadFile::truncate(std::int64_t size) {
  if (ftruncate(descriptor_, size) != 0) return fail_errno("truncate upload");
  return {};
}

Result<void> UploadStore::prepare() {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return fail(Code::io, "cannot make " + folder_.string() + ":", error.message());
  // What a kill left between two steps: bytes without a record, records that were not yet in place.
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::filesystem::path& path = entry.path();
    const bool orphan = path.extension() == ".part" && !std::filesystem::exists(json(path.stem().string()));
    std::error_code ignored;
    if (orphan || path.extension() == ".new") std::filesystem::remove(path, ignored);
  }
  return {};
}

Result<void> UploadStore::create(const UploadRecord& record) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder_, error);
  if (!error && space.available < static_cast<std::uintmax_t>(record.bytes)) {
    return fail(Code::no_space, "The server's disk has no room for this file.");
  }
  const int descriptor = ::open(part(record.upload).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail_errno("create upload", record.upload);
  close(descriptor);
  const Result<void> saved = save(record);
  if (!saved) forget(UploadId::parse(record.upload).value());
  return saved;
}

Result<UploadRecord> UploadStore::load(UploadId upload) {
  const std::filesystem::path path = json(upload.view());
  std::ifstream in{path, std::ios::binary};
  if (!in) return fail(Code::not_found, "no such upload");
  std::string text(kRecordBytesMax, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  Result<UploadRecord> record = json_read<UploadRecord>(text);
  if (!record) return record.error().in("record of upload", upload.view());
  if (record->upload != upload.view()) return fail(Code::malformed, "record of another upload");
  return record;
}

Result<void> UploadStore::save(const UploadRecord& record) {
  const std::string text = json_write(record);
  const std::filesystem::path path = json(record.upload);
  std::filesystem::path fresh = path;
  fresh += ".new";
  const int descriptor = ::open(fresh.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail_errno("write record of upload", record.upload);
  UploadFile file{descriptor};
  Result<void> replaced = file.write(0, as_bytes(text));
  const auto failed = [&record] { return fail_errno("write record of upload", record.upload); };
  if (replaced && fdatasync(descriptor) != 0) replaced = failed();
  if (replaced && rename(fresh.c_str(), path.c_str()) != 0) replaced = failed();
  if (!replaced) unlink(fresh.c_str());  // a full disk is not made fuller
  return replaced;
}

Result<std::int64_t> UploadStore::offset(const UploadRecord& record) {
  if (record.state == UploadState::stored || record.state == UploadState::finished) return record.bytes;
  const std::optional<std::int64_t> size = size_of_file(part(record.upload));
  if (size) return std::min({*size, record.bytes, record.unchecked_from.value_or(record.bytes)});
  // Killed between the move into the object store and the note of it.
  if (is_stored(record)) return record.bytes;
  return fail(Code::not_found, "the upload's bytes are gone");
}

bool UploadStore::is_stored(const UploadRecord& record) const {
  const auto object = objects_.open(upload_key(record.upload));
  return object && static_cast<std::int64_t>((*object)->size()) == record.bytes;
}

Result<UploadFile> UploadStore::open(UploadId upload) {
  const int descriptor = ::open(part(upload.view()).c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno("open upload", upload.view());
  return UploadFile{descriptor};
}

Result<void> UploadStore::store(UploadRecord& record) {
  if (record.state != UploadState::receiving) return {};
  const std::filesystem::path file = part(record.upload);
  if (size_of_file(file)) {
    const Result<void> put = objects_.put_file_durable(upload_key(record.upload), file);
    // Two that store the same upload at once: the file has gone where it belongs.
    if (!put && !is_stored(record)) return put.error().in("store upload", record.upload);
  }
  record.state = UploadState::stored;
  return save(record);
}

Result<void> UploadStore::end(UploadRecord& record, std::string_view reason) {
  record.state = UploadState::ended;
  record.reason = reason;
  const Result<void> saved = save(record);
  if (!saved) return saved;
  std::error_code ignored;
  std::filesystem::remove(part(record.upload), ignored);
  return {};
}

void UploadStore::forget(UploadId upload) {
  std::error_code ignored;
  std::filesystem::remove(part(upload.view()), ignored);
  std::filesystem::remove(json(upload.view()), ignored);
}

std::int64_t UploadStore::touched_unix_ms(UploadId upload) const {
  return std::max(modified_unix_ms(part(upload.view())), modified_unix_ms(json(upload.view())));
}

std::vector<UploadId> UploadStore::all() const {
  std::vector<UploadId> uploads;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    if (entry.path().extension() != ".json") continue;
    const Result<UploadId> upload = UploadId::parse(entry.path().stem().string());
    if (upload) uploads.push_back(*upload);
  }
  return uploads;
}

}  // namespace ribalta::ingest::tus
