#include "decode/oracle/agreement.h"

#include <algorithm>
#include <cctype>

namespace extrospect {
namespace {

// " lower case words with a space at both ends "
std::string Words(std::string_view text) {
  std::string words = " ";
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (code >= 0x80 || std::isalnum(code) != 0) {
      words += static_cast<char>(code >= 0x80 ? code : std::tolower(code));
    } else if (words.back() != ' ') {
      words += ' ';
    }
  }
  if (words.back() != ' ') words += ' ';
  return words;
}

}  // namespace

std::string AnswerMeaning(const Lexicon& lexicon, std::string_view answer) {
  const std::string words = Words(answer);
  for (const char* const verdict : {"yes", "no"}) {
    if (words.starts_with(Words(verdict))) return verdict;
  }
  size_t place = std::string::npos, length = 0;
  std::string named;
  const auto look_for = [&](const std::string& text, const std::string& word) {
    const std::string wanted = Words(text);
    const size_t found = words.find(wanted);
    if (found < place || (found == place && found != words.npos && wanted.size() > length)) {
      place = found;
      length = wanted.size();
      named = word;
    }
  };
  for (const Emotion& emotion : lexicon.emotions()) look_for(emotion.word, emotion.word);
  look_for("nothing", std::string(kNothing));
  if (place != std::string::npos) return named;
  const size_t begin = words.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return words.substr(begin, words.size() - begin - 1);
}

Agreement Agree(const Lexicon& lexicon, const std::vector<std::string>& answers) {
  std::vector<std::string> meanings;
  for (const std::string& answer : answers) meanings.push_back(AnswerMeaning(lexicon, answer));
  Agreement best;
  for (size_t i = 0; i < meanings.size(); ++i) {
    const auto same = std::count(meanings.begin(), meanings.end(), meanings[i]);
    const double share = static_cast<double>(same) / static_cast<double>(meanings.size());
    if (share > best.share) best = {i, share};
  }
  return best;
}

}  // namespace extrospect
