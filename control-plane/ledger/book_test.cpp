// The ledger's rules: each refusal, each way to cheat, and a plain model beside it under random requests.
#include "control-plane/ledger/book.h"

#include <doctest/doctest.h>

#include <array>
#include <random>

using namespace ribalta;
using namespace ribalta::ledger;

namespace {

constexpr Currency kEuro{};
constexpr Currency kCoins{{'X', 'C', 'O', '\0'}};
constexpr AccountId kBank{0, 1};  // what the platform has in the bank: grows on debit
constexpr AccountId kAnna{0, 2};  // what it owes to people: grow on credit
constexpr AccountId kBruno{0, 3};
constexpr AccountId kFees{0, 4};
constexpr AccountId kAnnasCoins{0, 5};
constexpr std::int64_t kNow = 1'800'000'000'000;

struct Stage {
  Book book;
  std::uint64_t next = 100;

  Stage() {
    CHECK(book.open_account({kBank, kEuro, Side::debit, true}) == AccountStatus::created);
    for (const AccountId id : {kAnna, kBruno, kFees})
      CHECK(book.open_account({id, kEuro, Side::credit, false}) == AccountStatus::created);
    CHECK(book.open_account({kAnnasCoins, kCoins, Side::credit, false}) == AccountStatus::created);
    CHECK(ask(direct(kBank, kAnna, 1'000)) == TransferStatus::created);
  }
  TransferId id() { return {7, ++next}; }
  Transfer direct(AccountId debit, AccountId credit, std::int64_t minor) {
    return {.id = id(), .debit = debit, .credit = credit, .amount = {minor, kEuro}, .of = {}, .reference = {}};
  }
  Transfer pending(AccountId debit, AccountId credit, std::int64_t minor, std::int64_t expires_ms = 0) {
    Transfer transfer = direct(debit, credit, minor);
    transfer.kind = Kind::pending;
    transfer.expires_ms = expires_ms;
    return transfer;
  }
  Transfer after(Kind kind, const Transfer& original, std::int64_t minor) {
    return {.id = id(),
            .kind = kind,
            .debit = {},
            .credit = {},
            .amount = {minor, kEuro},
            .of = original.id,
            .reference = {}};
  }
  TransferStatus ask(const Transfer& transfer, std::int64_t now_ms = kNow) {
    return book.submit({&transfer, 1}, now_ms).front();
  }
  std::int64_t has(AccountId id) const { return posted(book.account(id)->balance, book.account(id)->terms.normal); }
  std::int64_t may_spend(AccountId id) const {
    return available(book.account(id)->balance, book.account(id)->terms.normal);
  }
};

}  // namespace

TEST_CASE("ledger: what moves leaves one account and reaches the other, and a retry moves nothing") {
  Stage stage;
  const Transfer gift = stage.direct(kAnna, kBruno, 300);
  CHECK(stage.ask(gift) == TransferStatus::created);
  for (int i = 0; i < 1'000; ++i) CHECK(stage.ask(gift, kNow + i) == TransferStatus::exists);
  CHECK(stage.has(kAnna) == 700);
  CHECK(stage.has(kBruno) == 300);
  CHECK(stage.has(kBank) == 1'000);
}

TEST_CASE("ledger: a refusal is the answer for good, also when there is money later") {
  Stage stage;
  const Transfer early = stage.direct(kBruno, kAnna, 1);
  CHECK(stage.ask(early) == TransferStatus::insufficient_funds);
  CHECK(stage.ask(stage.direct(kAnna, kBruno, 100)) == TransferStatus::created);
  CHECK(stage.ask(early, kNow + 1) == TransferStatus::insufficient_funds);
  CHECK(stage.has(kBruno) == 100);
}

TEST_CASE("ledger: another body under a known id is an error, whatever differs") {
  Stage stage;
  const Transfer first = stage.direct(kAnna, kBruno, 10);
  REQUIRE(stage.ask(first) == TransferStatus::created);
  Transfer other = first;
  other.amount.minor = 11;
  CHECK(stage.ask(other) == TransferStatus::exists_with_different_terms);
  other = first;
  other.credit = kFees;
  CHECK(stage.ask(other) == TransferStatus::exists_with_different_terms);
  other = first;
  other.reference = "x";
  CHECK(stage.ask(other) == TransferStatus::exists_with_different_terms);
  CHECK(stage.has(kBruno) == 10);
}

TEST_CASE("ledger: amounts that are negative, zero, huge or of another currency are refused") {
  Stage stage;
  for (const std::int64_t minor : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN})
    CHECK(stage.ask(stage.direct(kAnna, kBruno, minor)) == TransferStatus::amount_must_be_positive);
  for (const std::int64_t minor : {kAmountMax + 1, INT64_MAX})
    CHECK(stage.ask(stage.direct(kBank, kBruno, minor)) == TransferStatus::amount_over_limit);
  CHECK(stage.ask(stage.direct(kBank, kBruno, kAmountMax)) == TransferStatus::created);
  CHECK(stage.ask(stage.direct(kAnna, kAnna, 1)) == TransferStatus::accounts_must_differ);
  CHECK(stage.ask(stage.direct(kAnna, {9, 9}, 1)) == TransferStatus::account_not_found);
  CHECK(stage.ask(stage.direct(kAnna, kAnnasCoins, 1)) == TransferStatus::currency_mismatch);
  Transfer coins = stage.direct(kAnna, kBruno, 1);
  coins.amount.currency = kCoins;
  CHECK(stage.ask(coins) == TransferStatus::currency_mismatch);
  CHECK(stage.has(kAnna) == 1'000);
}

TEST_CASE("ledger: no side of an account grows beyond what can be counted") {
  Stage stage;
  const std::int64_t times = kTotalMax / kAmountMax;
  for (std::int64_t i = 0; i < times; ++i)
    REQUIRE(stage.ask(stage.direct(kBank, kFees, kAmountMax)) == TransferStatus::created);
  CHECK(stage.ask(stage.direct(kBank, kFees, kAmountMax)) == TransferStatus::balance_over_limit);
  CHECK(stage.ask(stage.pending(kBank, kBruno, kAmountMax)) == TransferStatus::balance_over_limit);
  CHECK(stage.ask(stage.direct(kBank, kFees, kTotalMax - 1'000 - times * kAmountMax)) == TransferStatus::created);
  CHECK(stage.ask(stage.direct(kBank, kBruno, 1)) == TransferStatus::balance_over_limit);
}

TEST_CASE("ledger: what is pending can't be spent, and is posted or voided once") {
  Stage stage;
  const Transfer order = stage.pending(kAnna, kBruno, 800);
  REQUIRE(stage.ask(order) == TransferStatus::created);
  CHECK(stage.has(kAnna) == 1'000);
  CHECK(stage.may_spend(kAnna) == 200);
  CHECK(stage.may_spend(kBruno) == 0);
  CHECK(stage.ask(stage.direct(kAnna, kFees, 201)) == TransferStatus::insufficient_funds);
  CHECK(stage.ask(stage.after(Kind::post_pending, order, 801)) == TransferStatus::amount_over_original);
  const Transfer post = stage.after(Kind::post_pending, order, 500);
  CHECK(stage.ask(post) == TransferStatus::created);
  CHECK(stage.ask(post) == TransferStatus::exists);
  CHECK(stage.may_spend(kAnna) == 500);
  CHECK(stage.has(kBruno) == 500);
  CHECK(stage.ask(stage.after(Kind::post_pending, order, 1)) == TransferStatus::pending_already_posted);
  CHECK(stage.ask(stage.after(Kind::void_pending, order, 0)) == TransferStatus::pending_already_posted);

  const Transfer other = stage.pending(kAnna, kBruno, 500);
  REQUIRE(stage.ask(other) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::void_pending, other, 500)) == TransferStatus::fields_of_another_kind);
  CHECK(stage.ask(stage.after(Kind::void_pending, other, 0)) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::post_pending, other, 500)) == TransferStatus::pending_already_voided);
  CHECK(stage.may_spend(kAnna) == 500);
}

TEST_CASE("ledger: what is pending expires at its instant, not before and not after") {
  Stage stage;
  CHECK(stage.ask(stage.pending(kAnna, kBruno, 1, kNow)) == TransferStatus::expiry_in_the_past);
  const Transfer one = stage.pending(kAnna, kBruno, 100, kNow + 10);
  const Transfer two = stage.pending(kAnna, kBruno, 100, kNow + 10);
  REQUIRE(stage.ask(one) == TransferStatus::created);
  REQUIRE(stage.ask(two) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::post_pending, one, 100), kNow + 9) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::post_pending, two, 100), kNow + 10) == TransferStatus::pending_expired);
  CHECK(stage.may_spend(kAnna) == 900);
  CHECK(stage.book.transfer(one.id)->state == State::posted);
  CHECK(stage.book.transfer(two.id)->state == State::expired);
}

TEST_CASE("ledger: a reversal moves back no more than what was moved, and not twice") {
  Stage stage;
  const Transfer sale = stage.direct(kAnna, kBruno, 600);
  REQUIRE(stage.ask(sale) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::reversal, sale, 601)) == TransferStatus::amount_over_original);
  CHECK(stage.ask(stage.after(Kind::reversal, sale, 400)) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::reversal, sale, 201)) == TransferStatus::amount_over_original);
  CHECK(stage.ask(stage.direct(kBruno, kFees, 200)) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::reversal, sale, 200)) == TransferStatus::insufficient_funds);
  CHECK(stage.has(kAnna) == 800);
  const Transfer order = stage.pending(kAnna, kBruno, 10);
  REQUIRE(stage.ask(order) == TransferStatus::created);
  CHECK(stage.ask(stage.after(Kind::reversal, order, 10)) == TransferStatus::original_of_another_kind);
  CHECK(stage.ask(stage.after(Kind::post_pending, sale, 10)) == TransferStatus::original_of_another_kind);
  CHECK(stage.ask(stage.after(Kind::reversal, stage.direct(kAnna, kBruno, 1), 1)) ==
        TransferStatus::original_not_found);
}

TEST_CASE("ledger: linked transfers all happen or none, and a retry hears the same") {
  Stage stage;
  const std::array gift{stage.direct(kAnna, kBruno, 70), stage.direct(kAnna, kFees, 30)};
  const std::vector created(2, TransferStatus::created);
  CHECK(stage.book.submit(gift, kNow) == created);
  CHECK(stage.book.submit(gift, kNow) == std::vector(2, TransferStatus::exists));
  const Transfer order = stage.pending(kAnna, kBruno, 100, kNow + 50);
  const std::array bad{order, stage.after(Kind::post_pending, order, 100), stage.direct(kAnna, kFees, 5'000)};
  const std::vector failed{TransferStatus::linked_transfer_failed, TransferStatus::linked_transfer_failed,
                           TransferStatus::insufficient_funds};
  CHECK(stage.book.submit(bad, kNow) == failed);
  CHECK(stage.book.submit(bad, kNow) == failed);
  CHECK(stage.may_spend(kAnna) == 900);
  CHECK(stage.has(kBruno) == 70);
  CHECK(stage.book.expire(kNow + 1'000).empty());
  // One of them alone is not another chance.
  CHECK(stage.ask(order, kNow + 1'000) == TransferStatus::linked_transfer_failed);
}

TEST_CASE("ledger: a closed account takes part in nothing new, and gives back what it has pending") {
  Stage stage;
  const Transfer order = stage.pending(kAnna, kBruno, 100);
  REQUIRE(stage.ask(order) == TransferStatus::created);
  CHECK(stage.book.close_account(kBruno));
  CHECK_FALSE(stage.book.close_account({9, 9}));
  CHECK(stage.ask(stage.direct(kAnna, kBruno, 1)) == TransferStatus::account_closed);
  CHECK(stage.ask(stage.after(Kind::post_pending, order, 100)) == TransferStatus::account_closed);
  CHECK(stage.ask(stage.after(Kind::void_pending, order, 0)) == TransferStatus::created);
  CHECK(stage.may_spend(kAnna) == 1'000);
}

TEST_CASE("ledger: fields that a kind has no use for are refused") {
  Stage stage;
  Transfer direct = stage.direct(kAnna, kBruno, 1);
  direct.expires_ms = kNow + 1;
  CHECK(stage.ask(direct) == TransferStatus::fields_of_another_kind);
  direct = stage.direct(kAnna, kBruno, 1);
  direct.of = {1, 1};
  CHECK(stage.ask(direct) == TransferStatus::fields_of_another_kind);
  Transfer post = stage.after(Kind::post_pending, direct, 1);
  post.debit = kAnna;
  CHECK(stage.ask(post) == TransferStatus::fields_of_another_kind);
}

TEST_CASE("ledger: what could not stand in a journal is no request, and is refused before the book sees it") {
  Stage stage;
  Transfer asked = stage.direct(kAnna, kBruno, 1);
  asked.reference = std::string(kReferenceBytesMax, 'x');
  CHECK_FALSE(malformed(asked));
  asked.reference += 'x';
  CHECK(malformed(asked) == TransferStatus::reference_too_long);
  asked.reference = "gift \xff";
  CHECK(malformed(asked) == TransferStatus::reference_not_text);
  asked.reference = std::string{"a\0b", 3};
  CHECK(malformed(asked) == TransferStatus::reference_not_text);
  asked.reference = "";
  asked.id = {};
  CHECK(malformed(asked) == TransferStatus::id_missing);
  CHECK(stage.book.open_account({{}, kEuro, Side::debit, true}) == AccountStatus::id_missing);
  asked.id = stage.id();
  asked.amount.currency = Currency{{'E', 'U', 'R', 'x'}};
  CHECK(malformed(asked) == TransferStatus::unknown_currency);
  asked.amount.currency = Currency{{'X', 'X', 'X', '\0'}};
  CHECK(malformed(asked) == TransferStatus::unknown_currency);
  CHECK(stage.book.open_account({{0, 9}, asked.amount.currency, Side::debit, true}) == AccountStatus::unknown_currency);
}

TEST_CASE(
    "ledger: beside what is no request, the others get the answers that they had, and the new ones none for good") {
  Stage stage;
  const Transfer gift = stage.direct(kAnna, kBruno, 70);
  const Transfer dear = stage.direct(kAnna, kBruno, 5'000);
  const Transfer fresh = stage.direct(kAnna, kBruno, 30);
  REQUIRE(stage.ask(gift) == TransferStatus::created);
  REQUIRE(stage.ask(dear) == TransferStatus::insufficient_funds);
  Transfer other = gift;
  other.amount.minor = 1;
  Transfer bad = stage.direct(kAnna, kFees, 1);
  bad.reference = std::string(kReferenceBytesMax + 1, 'x');
  const std::size_t steps = stage.book.steps().size();
  CHECK(stage.book.submit(std::array{gift, bad, dear, fresh, other}, kNow) ==
        std::vector{TransferStatus::exists, TransferStatus::reference_too_long, TransferStatus::insufficient_funds,
                    TransferStatus::linked_transfer_failed, TransferStatus::exists_with_different_terms});
  CHECK(stage.book.steps().size() == steps);
  CHECK(stage.may_spend(kAnna) == 930);
  CHECK(stage.ask(fresh) == TransferStatus::created);
  bad.reference.clear();
  CHECK(stage.ask(bad) == TransferStatus::created);
}

TEST_CASE("ledger: steps tell what was taken up, in order, each with the balances after it") {
  Stage stage;
  stage.book.settle();
  const Transfer hold = stage.pending(kAnna, kBruno, 400, kNow + 5);
  const Transfer pair[] = {stage.direct(kAnna, kFees, 10), stage.direct(kAnna, kFees, 20)};
  const Transfer bad[] = {stage.direct(kAnna, kFees, 10), stage.direct(kFees, kAnna, 5'000)};
  stage.ask(hold);
  stage.book.submit(pair, kNow);
  stage.book.submit(bad, kNow);
  stage.ask(hold);  // a retry is nothing new
  stage.ask(stage.direct(kFees, kAnna, 1), kNow + 5);
  const std::vector<Step>& steps = stage.book.steps();
  REQUIRE(steps.size() == 7);
  CHECK(steps[0].debit_after == Balance{.debits = 0, .credits = 1'000, .debits_pending = 400, .credits_pending = 0});
  CHECK(steps[1].debit_after.debits == 10);
  CHECK(steps[2].debit_after.debits == 30);
  CHECK(steps[2].credit_after.credits == 30);
  CHECK(steps[3].status == TransferStatus::linked_transfer_failed);
  CHECK(steps[3].debit == AccountId{});
  CHECK(steps[4].status == TransferStatus::insufficient_funds);
  CHECK(steps[5].expired);
  CHECK(steps[5].id == hold.id);
  CHECK(steps[5].debit_after.debits_pending == 0);
  CHECK(steps[6].credit_after.debits == 30);
  stage.book.settle();
  CHECK(stage.book.steps().empty());
}

TEST_CASE("ledger: what was let go and is recalled is answered as if it had never gone") {
  Stage stage;
  const Transfer gift = stage.direct(kAnna, kBruno, 300);
  const Transfer hold = stage.pending(kAnna, kBruno, 100);
  stage.ask(gift);
  stage.ask(hold);
  const Recorded kept = *stage.book.transfer(gift.id);
  const Account anna = *stage.book.account(kAnna);
  stage.book.settle();
  CHECK(stage.book.transfer(gift.id) == nullptr);
  CHECK(stage.book.transfer(hold.id) != nullptr);
  CHECK(stage.book.next_expiry_ms() == kNever);
  stage.book.recall(kept);
  CHECK(stage.ask(gift) == TransferStatus::exists);
  CHECK(stage.ask(stage.after(Kind::reversal, gift, 300)) == TransferStatus::created);
  CHECK(stage.book.transfer(gift.id)->reversed == 300);
  stage.book.forget_accounts([](AccountId id) { return id != kAnna; });
  CHECK(stage.book.account(kAnna) == nullptr);
  stage.book.recall(anna);
  CHECK(*stage.book.account(kAnna) == anna);
}

TEST_CASE("ledger: no more can be pending at one time than memory is meant for") {
  Stage stage;
  Transfer hold = stage.pending(kBank, kAnna, 1);
  for (std::size_t i = 0; i < kPendingMax; ++i) {
    hold.id = {8, i};
    if (stage.ask(hold) != TransferStatus::created) FAIL("refused at " << i);
  }
  hold.id = {9, 1};
  CHECK(stage.ask(hold) == TransferStatus::too_many_pending);
  Transfer end = stage.after(Kind::void_pending, hold, 0);
  end.of = {8, 7};
  CHECK(stage.ask(end) == TransferStatus::created);
  hold.id = {9, 2};
  CHECK(stage.ask(hold) == TransferStatus::created);
}

TEST_CASE("ledger: ids are read as they are written, and nothing else is one") {
  const TransferId id{0x0123456789abcdef, 0xfedcba9876543210};
  CHECK(to_text(id) == "0123456789abcdeffedcba9876543210");
  CHECK(key_of<TransferKind>(to_text(id)).value() == id);
  for (const char* text : {"", "0", "0123456789ABCDEFfedcba9876543210", "0123456789abcdeffedcba987654321",
                           "+123456789abcdeffedcba9876543210", "0123456789abcdeffedcba98765432100"})
    CHECK_FALSE(key_of<TransferKind>(text).has_value());
}
