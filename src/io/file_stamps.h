#pragma once
// Whether files have changed, without reading them.

#include "io/disk.h"

#include <string>
#include <vector>

namespace brim::io {

/// Some files that are looked at again and again. Thread-compatible; look() may block on a slow file system,
/// so it is for workers.
class FileStamps {
public:
    /// Files that change at each look are read all the same at every third.
    static constexpr unsigned restless_looks_max = 3;
    /// They are read this often although no stamp changed: a change that left no trace is found then.
    static constexpr unsigned quiet_looks_max = 100;

    /// Empty paths are left out.
    explicit FileStamps(std::vector<std::string> paths) : paths_(std::move(paths)) {}

    /// True when they have to be read: at the first look, and when they changed and were still the same at
    /// the look after. Who puts a certificate and then its key there is not caught between the two, and two
    /// changes within the grain of the file system's clock are over.
    bool look(Disk& disk) {
        std::string now;
        for (const std::string& path : paths_) {
            if (!path.empty())
                now += disk.stamp(path) + '\n';
        }
        const bool is_settled = now == seen_;
        restless_ = is_settled ? 0 : restless_ + 1;
        const bool has_changed = now != read_ && (is_settled || restless_ >= restless_looks_max);
        const bool is_due = is_first_ || has_changed || ++quiet_ >= quiet_looks_max;
        seen_ = now;
        is_first_ = false;
        if (is_due) {
            read_ = std::move(now);
            quiet_ = restless_ = 0;
        }
        return is_due;
    }

private:
    std::vector<std::string> paths_;
    std::string seen_; ///< stamps at the last look
    std::string read_; ///< stamps when they were last read
    unsigned restless_ = 0;
    unsigned quiet_ = 0;
    bool is_first_ = true;
};

} // namespace brim::io
