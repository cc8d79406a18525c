// HDF5 handles that close themselves, and calls that throw. Internal to records/.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace extrospect::hdf5 {

// Owns an HDF5 identifier of any kind.
class Handle {
 public:
  Handle() = default;
  // Throws Error ("cannot <action> <where>") if `id` says that the call failed.
  Handle(hid_t id, const std::string& action, const std::string& where);
  ~Handle();
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  operator hid_t() const { return id_; }

 private:
  hid_t id_ = H5I_INVALID_HID;
};

// Throws Error with HDF5's own reason if `status` is negative.
void Check(herr_t status, const std::string& action, const std::string& where);

// Call in every thread before it uses HDF5. Silences its printing to stderr, which is a setting of
// the thread; the messages go into the errors. Keeps it from closing at exit what could not be
// closed before, on a full disk say: it crashes.
void Initialize();

// 16-bit float with 8 exponent and 7 mantissa bits, which plain h5py reads as numbers.
Handle BFloat16Type();
// IEEE half precision.
Handle Float16Type();
// Variable-length UTF-8.
Handle StringType();

void WriteAttribute(hid_t object, const std::string& name, const std::string& value);
void WriteAttribute(hid_t object, const std::string& name, int64_t value);
bool HasAttribute(hid_t object, const std::string& name);
std::string ReadStringAttribute(hid_t object, const std::string& name, const std::string& where);
int64_t ReadIntAttribute(hid_t object, const std::string& name, const std::string& where);

// Sizes of a dataset. Throws Error unless it has `rank` dimensions.
std::vector<hsize_t> Shape(hid_t dataset, int rank, const std::string& where);

// A dataspace with rows [first, first + count) of `dataset` selected, all columns.
Handle SelectRows(hid_t dataset, hsize_t first, hsize_t count, const std::string& where);

}  // namespace extrospect::hdf5
