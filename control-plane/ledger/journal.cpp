#include "control-plane/ledger/journal.h"

#include <openssl/evp.h>

#include <array>
#include <boost/describe/class.hpp>
#include <cassert>
#include <optional>
#include <utility>

#include "core/bytes.h"
#include "core/json.h"

namespace ribalta::ledger {
namespace {

struct AccountBody {
  std::string id;
  std::string currency;
  Side normal = Side::credit;
  bool may_go_negative = false;
};
BOOST_DESCRIBE_STRUCT(AccountBody, (), (id, currency, normal, may_go_negative))

/// What is empty or zero is left out.
struct TransferBody {
  std::string id;
  Kind kind = Kind::direct;
  std::optional<std::string> debit;
  std::optional<std::string> credit;
  std::optional<std::string> of;
  std::int64_t minor = 0;
  std::string currency;
  std::optional<std::int64_t> expires_ms;
  std::optional<std::string> reference;
};
BOOST_DESCRIBE_STRUCT(TransferBody, (), (id, kind, debit, credit, of, minor, currency, expires_ms, reference))

struct Line {
  std::int64_t sequence = 0;
  std::int64_t time_ms = 0;
  std::optional<AccountBody> account;
  std::optional<std::string> closed;
  std::optional<TransferBody> transfer;
  std::optional<TransferStatus> status;
  std::optional<std::int64_t> group;
  std::optional<std::string> expired;
};
BOOST_DESCRIBE_STRUCT(Line, (), (sequence, time_ms, account, closed, transfer, status, group, expired))

template <class K>
std::optional<std::string> text_of(const Key<K>& key) {
  if (key == Key<K>{}) return std::nullopt;
  return to_text(key);
}
template <class T>
std::optional<T> unless_empty(const T& value) {
  if (value == T{}) return std::nullopt;
  return value;
}

template <class K>
Result<Key<K>> key_or_none(const std::optional<std::string>& text) {
  if (!text) return Key<K>{};
  return key_of<K>(*text);
}

Result<AccountTerms> terms_of(const AccountBody& body) {
  const Result<AccountId> id = key_of<AccountKind>(body.id);
  if (!id) return pass(id);
  const Result<Currency> currency = currency_of(body.currency);
  if (!currency) return pass(currency);
  return AccountTerms{*id, *currency, body.normal, body.may_go_negative};
}

Result<Transfer> transfer_of(const TransferBody& body) {
  const Result<TransferId> id = key_of<TransferKind>(body.id);
  if (!id) return pass(id);
  const Result<AccountId> debit = key_or_none<AccountKind>(body.debit);
  if (!debit) return pass(debit);
  const Result<AccountId> credit = key_or_none<AccountKind>(body.credit);
  if (!credit) return pass(credit);
  const Result<TransferId> of = key_or_none<TransferKind>(body.of);
  if (!of) return pass(of);
  const Result<Currency> currency = currency_of(body.currency);
  if (!currency) return pass(currency);
  return Transfer{.id = *id,
                  .kind = body.kind,
                  .debit = *debit,
                  .credit = *credit,
                  .amount = {body.minor, *currency},
                  .of = *of,
                  .expires_ms = body.expires_ms.value_or(0),
                  .reference = body.reference.value_or("")};
}

void fill(Line& line, const AccountOpened& opened) {
  const AccountTerms& terms = opened.terms;
  line.account =
      AccountBody{to_text(terms.id), std::string{terms.currency.text()}, terms.normal, terms.may_go_negative};
}
void fill(Line& line, const AccountClosed& closed) { line.closed = to_text(closed.id); }
void fill(Line& line, const Expired& expired) { line.expired = to_text(expired.id); }
void fill(Line& line, const Answered& answered) {
  const Transfer& transfer = answered.transfer;
  line.transfer = TransferBody{to_text(transfer.id),
                               transfer.kind,
                               text_of(transfer.debit),
                               text_of(transfer.credit),
                               text_of(transfer.of),
                               transfer.amount.minor,
                               std::string{transfer.amount.currency.text()},
                               unless_empty(transfer.expires_ms),
                               unless_empty(transfer.reference)};
  line.status = answered.status;
  line.group = answered.group;
}

}  // namespace

std::string to_line(const Entry& entry) {
  Line line;
  line.sequence = entry.sequence;
  line.time_ms = entry.time_ms;
  std::visit([&line](const auto& what) { fill(line, what); }, entry.what);
  return json_write(line);
}

Result<Entry> from_line(std::string_view text) {
  if (text.size() > kLineBytesMax) return fail(Code::limit, "journal: a line of bytes", text.size());
  const Result<Line> line = json_read<Line>(text);
  if (!line) return line.error().in("journal");
  Entry entry{.sequence = line->sequence, .time_ms = line->time_ms, .what = {}};
  if (line->account) {
    const Result<AccountTerms> terms = terms_of(*line->account);
    if (!terms) return terms.error().in("journal");
    entry.what = AccountOpened{*terms};
  } else if (line->closed) {
    const Result<AccountId> id = key_of<AccountKind>(*line->closed);
    if (!id) return id.error().in("journal");
    entry.what = AccountClosed{*id};
  } else if (line->expired) {
    const Result<TransferId> id = key_of<TransferKind>(*line->expired);
    if (!id) return id.error().in("journal");
    entry.what = Expired{*id};
  } else if (line->transfer && line->status && line->group) {
    Result<Transfer> transfer = transfer_of(*line->transfer);
    if (!transfer) return transfer.error().in("journal");
    entry.what = Answered{std::move(*transfer), *line->status, *line->group};
  } else {
    return fail(Code::malformed, "journal: a line that says nothing");
  }
  // One way to write each entry: a line with more in it than that is none of ours.
  if (to_line(entry) != text) return fail(Code::malformed, "journal: a line that is written otherwise");
  return entry;
}

std::string chain(std::string_view before, std::string_view line) {
  std::string text{before};
  text += '\n';
  text += line;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const int made = EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  assert(made == 1 && size == 32);
  return to_hex(std::as_bytes(std::span{digest}.first(size)));
}

Result<void> Replay::take(std::string_view line, std::string_view hash) {
  std::string expected = chain(hash_, line);
  if (expected != hash) return fail(Code::conflict, "journal: the chain is broken at", sequence_ + 1);
  const Result<Entry> entry = from_line(line);
  if (!entry) return pass(entry);
  if (entry->sequence != sequence_ + 1) return fail(Code::conflict, "journal: no line", sequence_ + 1);
  if (entry->time_ms < time_ms_) return fail(Code::conflict, "journal: time goes back at", entry->sequence);
  const auto* const answered = std::get_if<Answered>(&entry->what);
  const bool goes_on = answered != nullptr && !group_.empty() && answered->group == group_.front().group;
  if (!goes_on) {
    if (const Result<void> ended = end_group(); !ended) return ended;
  }
  if (goes_on && entry->time_ms != time_ms_)
    return fail(Code::conflict, "journal: a group of two times at", entry->sequence);
  time_ms_ = entry->time_ms;
  sequence_ = entry->sequence;
  hash_ = std::move(expected);
  return take(*entry);
}

Result<void> Replay::take(const Entry& entry) {
  const auto wrong = [&entry](std::string_view what) { return fail(Code::conflict, what, entry.sequence); };
  if (const auto* const answered = std::get_if<Answered>(&entry.what)) {
    if (group_.empty()) {
      if (answered->group != entry.sequence) return wrong("journal: a group that begins elsewhere at");
      if (is_due(entry)) return wrong("journal: something expired and was not told before");
    }
    if (group_.size() == kLinkedMax) return wrong("journal: too many linked at");
    // By today's rules: what these have once let in they must always let in (kCurrencies, kReferenceBytesMax).
    if (malformed(answered->transfer)) return wrong("journal: what is no request at");
    group_.push_back(*answered);
    return {};
  }
  if (const auto* const expired = std::get_if<Expired>(&entry.what)) {
    if (book_.expire(entry.time_ms, 1) != std::vector{expired->id}) return wrong("journal: not what expires at");
    return tell_steps(entry.sequence);
  }
  if (is_due(entry)) return wrong("journal: something expired and was not told before");
  if (const auto* const opened = std::get_if<AccountOpened>(&entry.what)) {
    if (book_.open_account(opened->terms) != AccountStatus::created) return wrong("journal: an account twice at");
    return {};
  }
  const Account* const account = book_.account(std::get<AccountClosed>(entry.what).id);
  if (account == nullptr || account->closed) return wrong("journal: closes what is not open at");
  book_.close_account(account->terms.id);
  return {};
}

/// Whatever has expired stands before all else of its instant.
bool Replay::is_due(const Entry& entry) const { return book_.next_expiry_ms() <= entry.time_ms; }

Result<void> Replay::end_group() {
  if (group_.empty()) return {};
  if (const Result<void> recalled = recall_originals(); !recalled) return recalled;
  std::vector<Transfer> transfers;
  transfers.reserve(group_.size());
  for (const Answered& one : group_) transfers.push_back(one.transfer);
  const std::size_t before = book_.steps().size();
  const std::vector<TransferStatus> answers = book_.submit(transfers, time_ms_);
  if (book_.steps().size() - before != group_.size())
    return fail(Code::conflict, "journal: a line that answers nothing new, in the group", group_.front().group);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i] != group_[i].status)
      return fail(Code::conflict, "journal: another answer than the rules give, in the group", group_[i].group);
  }
  const std::int64_t first = group_.front().group;
  group_.clear();
  return tell_steps(first);
}

/// What the group's transfers are about, and was let go.
Result<void> Replay::recall_originals() {
  if (!recall_) return {};
  for (const Answered& one : group_) {
    const TransferId of = one.transfer.of;
    if (of == TransferId{} || book_.transfer(of) != nullptr) continue;
    const Result<std::optional<Recorded>> original = recall_(of, group_.front().group);
    if (!original) return pass(original);
    if (*original) book_.recall(**original);
  }
  return {};
}

Result<void> Replay::tell_steps(std::int64_t first) {
  if (!recall_) return {};
  for (const Step& step : book_.steps()) {
    if (const Result<void> told = on_step_(first++, step); !told) return told;
  }
  book_.settle();
  return {};
}

Result<void> Replay::finish() { return end_group(); }

}  // namespace ribalta::ledger
