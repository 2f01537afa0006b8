#include "control-plane/secrets.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "core/bytes.h"
#include "core/ids.h"

namespace ribalta::control {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSecretFileBytesMax = 4096;

Result<std::optional<std::string>> read_secret(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::optional<std::string>{};
  std::ifstream in{file, std::ios::binary};
  std::string text(kSecretFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (!in && !in.eof())) return fail(Code::io, "can't read", file.string());
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kSecretFileBytesMax) return fail(Code::malformed, "too long for a secret:", file.string());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (text.empty()) return std::optional<std::string>{};
  return std::optional<std::string>{std::move(text)};
}

/// Whole or not at all, and readable by us alone from its first byte.
Result<void> write_secret(const fs::path& file, std::string_view text) {
  const fs::path fresh = file.string() + ".new";
  const int out = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return fail_errno("make a secret", fresh.string());
  const bool written = ::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(out) == 0;
  ::close(out);
  if (!written) return fail(Code::io, "can't write", fresh.string());
  std::error_code error;
  fs::rename(fresh, file, error);
  if (error) return fail(Code::io, "can't write", file.string());
  return {};
}

Result<std::string> read_or_make(const fs::path& file, const std::string& fresh) {
  auto known = read_secret(file);
  if (!known) return pass(known);
  if (*known) return **known;
  if (auto written = write_secret(file, fresh); !written) return pass(written);
  return fresh;
}

std::string random_hex_32() {
  std::array<std::byte, 32> bytes{};
  randombytes_buf(bytes.data(), bytes.size());
  return to_hex(bytes);
}

Result<SigningKey> parse_signing_key(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank > 8)
    return fail(Code::malformed, "playback_signing: `ID HEX` wanted");
  auto seed = from_hex(line.substr(blank + 1));
  if (!seed || seed->size() != 32) return fail(Code::malformed, "playback_signing: 64 hex digits after the id");
  return SigningKey{std::string{line.substr(0, blank)}, std::string{as_text(*seed)}};
}

/// Edges know what checks our signatures, beside what they accepted before.
Result<void> ensure_public_half(const fs::path& file, const std::string& line) {
  const auto known = read_secret(file);
  if (!known) return pass(known);
  const std::string text = known->value_or("");
  if (text.find(line) != std::string::npos) return {};
  return write_secret(file, text.empty() ? line + "\n" : text + "\n" + line + "\n");
}

std::string raw_from_hex(std::string_view hex) {
  const auto bytes = from_hex(hex);
  assert(bytes.has_value());
  return std::string{as_text(*bytes)};
}

}  // namespace

Secrets Secrets::from(std::string control_key, std::string admin_token, SigningKey playback) {
  const int ready = sodium_init();
  assert(ready >= 0);
  Secrets secrets;
  secrets.control_key_ = std::move(control_key);
  secrets.box_key_ = raw_from_hex(hmac_sha256_hex(secrets.control_key_, "stream key box"));
  static_assert(crypto_secretbox_KEYBYTES == 32);
  assert(secrets.box_key_.size() == crypto_secretbox_KEYBYTES);
  secrets.admin_token_ = std::move(admin_token);
  secrets.playback_ = std::move(playback);
  return secrets;
}

Result<Secrets> Secrets::open(const fs::path& folder) {
  if (sodium_init() < 0) return fail(Code::internal, "libsodium did not start");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(Code::io, "can't make", folder.string());
  fs::permissions(folder, fs::perms::owner_all, error);

  auto key = read_or_make(folder / "control", random_hex_32());
  if (!key) return pass(key);
  if (key->size() < 64) return fail(Code::malformed, "secrets/control: 64 hex digits wanted");
  auto admin = read_or_make(folder / "admin_token", random_secret("ra_"));
  if (!admin) return pass(admin);
  if (admin->size() < 16) return fail(Code::malformed, "secrets/admin_token: at least 16 characters");
  auto signing = read_or_make(folder / "playback_signing", "s1 " + random_hex_32() + "\n");
  if (!signing) return pass(signing);
  while (signing->ends_with('\n')) signing->pop_back();
  auto playback = parse_signing_key(*signing);
  if (!playback) return pass(playback);
  Secrets secrets = from(std::move(*key), std::move(*admin), std::move(*playback));
  if (auto told = ensure_public_half(folder / "playback_keys", secrets.playback_public_line()); !told)
    return pass(told);
  return secrets;
}

std::string Secrets::playback_public_line() const {
  const TokenKey half = public_half(playback_);
  return half.id + " ed25519 " + to_hex(as_bytes(half.secret));
}

std::string Secrets::hash(std::string_view use, std::string_view secret) const {
  return hmac_sha256_hex(control_key_, std::string{use} + ":" + std::string{secret});
}

bool Secrets::is_admin_token(std::string_view text) const {
  return equal_constant_time(hash("admin", text), hash("admin", admin_token_));
}

std::string Secrets::seal(std::string_view plain) const {
  Bytes box(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.size());
  auto* out = reinterpret_cast<unsigned char*>(box.data());
  randombytes_buf(out, crypto_secretbox_NONCEBYTES);
  crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES, reinterpret_cast<const unsigned char*>(plain.data()),
                        plain.size(), out, reinterpret_cast<const unsigned char*>(box_key_.data()));
  return to_base64(box);
}

Result<std::string> Secrets::unseal(std::string_view sealed) const {
  auto box = from_base64(sealed);
  if (!box) return pass(box);
  constexpr std::size_t kOverhead = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
  if (box->size() < kOverhead) return fail(Code::unauthorized, "too short for a secret box");
  const auto* in = reinterpret_cast<const unsigned char*>(box->data());
  std::string plain(box->size() - kOverhead, '\0');
  const int opened = crypto_secretbox_open_easy(
      reinterpret_cast<unsigned char*>(plain.data()), in + crypto_secretbox_NONCEBYTES,
      box->size() - crypto_secretbox_NONCEBYTES, in, reinterpret_cast<const unsigned char*>(box_key_.data()));
  if (opened != 0) return fail(Code::unauthorized, "sealed with another key");
  return plain;
}

std::string random_secret(std::string_view prefix) {
  std::string text{prefix};
  for (int i = 0; i < 2; ++i) {
    const auto id = random_id();
    text.append(id.data(), id.size());
  }
  return text;
}

Result<std::string> ensure_setup_token(const fs::path& folder) {
  return read_or_make(folder / "setup_token", random_secret(""));
}

void remove_setup_token(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(folder / "setup_token", ignored);
}

}  // namespace ribalta::control
