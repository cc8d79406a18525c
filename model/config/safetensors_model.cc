#include <system_error>
#include <utility>

#include "base/error.h"
#include "model/files/json_events.h"
#include "model/files/quote.h"
#include "model/files/safetensors.h"

namespace extrospect {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = 100'000'000;

// Takes {"weight_map": {"tensor": "file", …}} and passes over everything beside it.
class IndexEvents : public JsonEvents {
 public:
  std::map<std::string, std::string, std::less<>> files;
  bool has_weight_map = false;

  bool null() override { return Pass("null"); }
  bool boolean(bool) override { return Pass("a boolean"); }
  bool number_integer(int64_t) override { return Pass("a number"); }
  bool number_unsigned(uint64_t) override { return Pass("a number"); }
  bool number_float(double, const std::string&) override { return Pass("a number"); }
  bool start_array(size_t) override { return Pass("an array") && Enter(); }
  bool end_array() override { return Leave(); }
  bool end_object() override { return Leave(); }

  bool start_object(size_t) override {
    if (InMap() && depth_ != 1) return Pass("an object");
    return Enter();
  }

  bool key(std::string& key) override {
    if (depth_ == 1) {
      in_weight_map_ = key == "weight_map";
      if (!in_weight_map_) return true;
      return !std::exchange(has_weight_map, true) || Fail("one weight_map", "a second one");
    }
    if (InMap()) tensor_ = std::move(key);
    return true;
  }

  bool string(std::string& value) override {
    if (!InMap() || depth_ != 2) return Pass("a string");
    // The name is opened, so it must not lead out of the directory.
    if (value.empty() || value == "." || value == ".." ||
        value.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      return Fail("the plain name of a file for " + Quote(tensor_), Quote(value));
    }
    if (files.emplace(tensor_, std::move(value)).second) return true;
    return Fail("every tensor once", "a second file for " + Quote(tensor_));
  }

 private:
  static constexpr int kMaxDepth = 16;

  std::string Expectation() const override { return R"({"weight_map": {"tensor": "file", …}})"; }
  std::string Context() const override {
    return depth_ >= 2 ? " for " + Quote(tensor_) : std::string();
  }

  bool InMap() const { return depth_ >= 1 && in_weight_map_; }
  bool Pass(const char* found) {
    return (depth_ > 0 && !InMap()) || Fail(Expectation(), found + Context());
  }
  bool Enter() { return ++depth_ <= kMaxDepth || Fail("at most 16 levels of JSON", "more"); }
  bool Leave() {
    --depth_;
    return true;
  }

  int depth_ = 0;  // objects and arrays that are open
  bool in_weight_map_ = false;
  std::string tensor_;
};

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

std::map<std::string, std::string, std::less<>> ParseSafetensorsIndex(std::string_view text,
                                                                      const std::string& name) {
  Error error("cannot read the index of safetensors files");
  error.At(name);
  IndexEvents events;
  events.Parse(text, error);
  if (events.has_weight_map) return std::move(events.files);
  throw error.Expected("an object with a weight_map").Found("none");
}

SafetensorsModel::SafetensorsModel(const std::filesystem::path& directory) : directory_(directory) {
  const auto index = directory / kIndexFile;
  if (!Exists(directory / kSingleFile) && Exists(index)) {
    std::map<std::string, size_t> opened;
    const auto file_names = ParseSafetensorsIndex(ReadFile(index, kMaxIndexBytes), index.string());
    for (const auto& [tensor, file_name] : file_names) {
      const auto [file, is_new] = opened.emplace(file_name, files_.size());
      if (is_new) files_.emplace_back(directory / file_name);
      if (!files_[file->second].entries().contains(tensor)) {
        throw Error("tensor is not in the file that the index names")
            .At(index.string())
            .Expected("tensor " + Quote(tensor) + " in " + files_[file->second].name())
            .Hint("the files of the model do not belong together; download them again");
      }
      file_of_.emplace(tensor, file->second);
    }
    return;
  }
  files_.emplace_back(directory / kSingleFile);
  for (const auto& [tensor, entry] : files_[0].entries()) file_of_.emplace(tensor, 0);
}

std::vector<std::string> SafetensorsModel::names() const {
  std::vector<std::string> names;
  names.reserve(file_of_.size());
  for (const auto& [tensor, file] : file_of_) names.push_back(tensor);
  return names;
}

std::optional<TensorView> SafetensorsModel::Find(std::string_view tensor) const {
  const auto file = file_of_.find(tensor);
  if (file == file_of_.end()) return std::nullopt;
  return files_[file->second].Find(tensor);
}

void SafetensorsModel::Release(std::string_view tensor) const {
  const auto file = file_of_.find(tensor);
  if (file != file_of_.end()) files_[file->second].Release(tensor);
}

TensorView SafetensorsModel::Get(std::string_view tensor) const {
  if (auto found = Find(tensor)) return *std::move(found);
  throw Error("tensor is missing from the model")
      .At(directory_.string())
      .Expected("tensor " + Quote(tensor))
      .Found(std::to_string(file_of_.size()) + " tensors of other names");
}

}  // namespace extrospect
