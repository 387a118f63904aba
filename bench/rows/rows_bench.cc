// Measures planning and reading of a file, and what a memchr line counter needs for it, in seconds
// of CPU time of the whole process:
//
//   rows_bench plan|read|count Lines|Csv|NdJson FILE [KEY [FIELD...]]
//
// `read` plans nothing: it takes the extents that `plan` wrote to FILE.extents.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "rows/file_plan.h"
#include "rows/file_source.h"
#include "rows/shard_reader.h"

namespace {

using namespace backfill;
using namespace backfill::rows;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The kernel's ru_maxrss also counts the process that started this one.
long MaxRssKilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes;
  }
  return 0;
}

int Fail(const Error& error) {
  std::cerr << error.message << "\n";
  return 1;
}

std::uint64_t CountLines(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  std::vector<char> buffer(std::size_t{256} << 10);
  std::uint64_t lines = 0;
  for (ssize_t n = 0; (n = read(fd, buffer.data(), buffer.size())) > 0;) {
    const char* p = buffer.data();
    const char* const end = p + n;
    while ((p = static_cast<const char*>(
                std::memchr(p, '\n', static_cast<std::size_t>(end - p)))) != nullptr) {
      ++lines;
      ++p;
    }
  }
  close(fd);
  return lines;
}

Result<std::uint64_t> Plan(ByteSource& source, const FileFormat& format, const std::string& path) {
  PlanOptions options;
  options.choose = [](std::uint64_t) { return std::uint64_t{10'000}; };
  const FilePlan plan = TRY(PlanFile(source, format, options, {}));
  std::ofstream out(path + ".extents");
  for (const std::string& name : plan.shape.columns) out << name << " ";
  out << "\n";
  for (const Extent& e : plan.shards) {
    out << e.first << " " << e.records << " " << e.offset << " " << e.bytes << " " << e.line << " "
        << e.crc32c << "\n";
  }
  std::printf("%zu shards, %llu bad, %llu duplicates\n", plan.shards.size(),
              static_cast<unsigned long long>(plan.bad_records()),
              static_cast<unsigned long long>(plan.duplicates.keys));
  return plan.records;
}

Result<std::uint64_t> ReadAll(ByteSource& source, const FileFormat& format,
                              const std::string& path) {
  std::ifstream in(path + ".extents");
  FileShape shape;
  std::string line;
  std::getline(in, line);
  for (std::size_t from = 0, to = 0; (to = line.find(' ', from)) != std::string::npos;
       from = to + 1)
    shape.columns.push_back(line.substr(from, to - from));
  const auto reader = TRY(ShardReader::Open(source, format, shape, {}));
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  for (Extent e; in >> e.first >> e.records >> e.offset >> e.bytes >> e.line >> e.crc32c;) {
    LoadedShard shard = TRY(reader->Load(e, {}));
    for (;;) {
      const Record* const record = TRY(shard.Next());
      if (record == nullptr) break;
      ++records;
      bytes += record->key.size();
      for (const std::string_view field : record->fields) bytes += field.size();
    }
  }
  std::printf("%llu bytes in keys and fields\n", static_cast<unsigned long long>(bytes));
  return records;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string what = argv[1];
  const std::string name = argv[2];
  FileFormat format;
  format.format = name == "Csv"      ? Format::kCsv
                  : name == "NdJson" ? Format::kNdJson
                                     : Format::kLines;
  if (argc > 4) format.key = argv[4];
  for (int i = 5; i < argc; ++i) format.fields.emplace_back(argv[i]);

  std::uint64_t rows = 0;
  if (what == "count") {
    rows = CountLines(argv[3]);
  } else {
    auto source = FileSource::Open(argv[3]);
    if (!source) return Fail(source.error());
    auto done =
        what == "plan" ? Plan(**source, format, argv[3]) : ReadAll(**source, format, argv[3]);
    if (!done) return Fail(done.error());
    rows = *done;
  }
  const double seconds = CpuSeconds();
  std::printf("%s %s: %llu rows, %.3f s of CPU, %.1f ns a row, %ld KiB\n", what.c_str(),
              name.c_str(), static_cast<unsigned long long>(rows), seconds,
              seconds * 1e9 / static_cast<double>(rows), MaxRssKilobytes());
  return 0;
}
