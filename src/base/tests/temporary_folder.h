#pragma once
// A folder of a test's own.

#include <doctest/doctest.h>

#include <filesystem>
#include <stdlib.h>
#include <string>

namespace brim::testing {

/// Goes away with the test, and all that is in it.
class TemporaryFolder {
public:
    TemporaryFolder() {
        // mkdtemp puts letters of its own in the place of the last six.
        std::string name = (std::filesystem::temp_directory_path() / "brim-test-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }

    ~TemporaryFolder() { std::filesystem::remove_all(path_); }

    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

} // namespace brim::testing
