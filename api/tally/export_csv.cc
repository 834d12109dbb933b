// An export as CSV: a line of names with their types, then a row a posting. No field needs quotes.

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/outcomes.h"
#include "api/tally/export_sink.h"
#include "api/tally/output_file.h"

namespace tallystick::tally {
namespace {

constexpr absl::string_view kHeader =
    "shard:uint16,position:uint64,line:uint16,log_time:timestamp,occurred_at:timestamp,"
    "program:uint16,member:string,transaction:string,kind:string,account:string,amount:int64,"
    "memo:bool,funder:uint16\n";

class CsvSink : public ExportSink {
 public:
  CsvSink(std::unique_ptr<OutputFile> file, std::vector<ExportedShard> from)
      : file_(std::move(file)), from_(std::move(from)) {
    absl::StrAppend(&file_->buffer(), kHeader);
  }

  const std::vector<ExportedShard>& from() const override { return from_; }

  absl::Status AddRecord(uint16_t shard, const PostedRecord& posted) override {
    if (posted.lines().empty()) return absl::OkStatus();
    const Operation& op = posted.record->operation;
    before_ = absl::StrCat(shard, ",", posted.position, ",");
    between_ = ",";
    texts_.AppendInstant(posted.log_time, &between_);
    between_.push_back(',');
    texts_.AppendInstant(op.occurred_at(), &between_);
    absl::StrAppend(&between_, ",", op.program(), ",", RecordTexts::IdText(op.member()), ",",
                    RecordTexts::IdText(op.id()), ",", KindName(op.kind()), ",");
    int number = 0;
    for (const PostingLine& line : posted.lines()) {
      absl::StrAppend(&file_->buffer(), before_, ++number, between_,
                      PostingAccountName(line.account), ",", line.amount,
                      IsMemo(line.account) ? ",true," : ",false,", op.program(), "\n");
    }
    return file_->FlushSome();
  }

  absl::Status AddMember(const MemberRow&) override { return absl::OkStatus(); }

  absl::Status Finish(const ExportEnd&) override { return file_->Publish(); }

 private:
  const std::unique_ptr<OutputFile> file_;
  const std::vector<ExportedShard> from_;
  RecordTexts texts_;
  std::string before_;   // of a record's rows, what stands before the line's number
  std::string between_;  // and behind it
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExportSink>> ExportToCsv(const std::string& path,
                                                        const OfflineLedger& ledger,
                                                        std::vector<ExportedShard> from) {
  auto file = OutputFile::Create(path, &ledger);
  if (!file.ok()) return file.status();
  return std::unique_ptr<ExportSink>(new CsvSink(*std::move(file), std::move(from)));
}

}  // namespace tallystick::tally
