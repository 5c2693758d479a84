#pragma once
// Work handed to the loop may outlive the object it is about; a Lease makes such work do nothing then.

#include <memory>
#include <utility>

namespace brim::edge {

/// A member of the object: work wrapped by it runs only while the object lives. Loop thread only.
class Lease {
public:
    Lease()
        : token_(std::make_shared<char>()) {
    } // shared with the wrapped work, which only asks whether it is still held

    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    template <class F> auto wrap(F work) const {
        return [token = std::weak_ptr<char>(token_), work = std::move(work)](auto&&... args) mutable {
            if (!token.expired())
                work(std::forward<decltype(args)>(args)...);
        };
    }

private:
    std::shared_ptr<char> token_;
};

} // namespace brim::edge
