#include "records/hdf5.h"

#include "base/error.h"

namespace extrospect::hdf5 {
namespace {

// The innermost reason on HDF5's error stack: "write failed: No space left on device".
std::string Reason() {
  std::string reason;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* entry, void* data) -> herr_t {
        if (n == 0 && entry->desc != nullptr) *static_cast<std::string*>(data) = entry->desc;
        return 0;
      },
      &reason);
  H5Eclear2(H5E_DEFAULT);
  return reason;
}

Error Failure(const std::string& action, const std::string& where) {
  const std::string reason = Reason();
  Error error("cannot " + action);
  error.At(where).Found(reason);
  if (reason.find("No space left") != reason.npos) {
    error.Hint("free some disk space and run the command again with --resume");
  }
  return error;
}

}  // namespace

Handle::Handle(hid_t id, const std::string& action, const std::string& where) : id_(id) {
  if (id < 0) throw Failure(action, where);
}

Handle::~Handle() {
  if (id_ < 0) return;
  switch (H5Iget_type(id_)) {
    case H5I_FILE:
      H5Fclose(id_);
      break;
    case H5I_GROUP:
      H5Gclose(id_);
      break;
    case H5I_DATASET:
      H5Dclose(id_);
      break;
    case H5I_DATASPACE:
      H5Sclose(id_);
      break;
    case H5I_DATATYPE:
      H5Tclose(id_);
      break;
    case H5I_ATTR:
      H5Aclose(id_);
      break;
    case H5I_GENPROP_LST:
      H5Pclose(id_);
      break;
    default:
      break;
  }
}

void Check(herr_t status, const std::string& action, const std::string& where) {
  if (status < 0) throw Failure(action, where);
}

void Initialize() {
  H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

namespace {

Handle SixteenBitFloat(size_t exponent_bits, size_t bias) {
  Handle type(H5Tcopy(H5T_IEEE_F32LE), "make a type", "HDF5");
  const size_t mantissa_bits = 15 - exponent_bits;
  // Fields first, then size: HDF5 refuses a size that the old fields do not fit.
  Check(H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits), "make a type",
        "HDF5");
  Check(H5Tset_precision(type, 16), "make a type", "HDF5");
  Check(H5Tset_size(type, 2), "make a type", "HDF5");
  Check(H5Tset_ebias(type, bias), "make a type", "HDF5");
  return type;
}

// Throws Error unless the attribute has one value: HDF5 would write all of them to where one goes.
Handle OpenAttribute(hid_t object, const std::string& name, const std::string& where) {
  const std::string action = "read attribute '" + name + "'";
  Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), action, where);
  const Handle space(H5Aget_space(attribute), action, where);
  if (H5Sget_simple_extent_npoints(space) != 1) {
    throw Error("cannot " + action).At(where).Expected("one value");
  }
  return attribute;
}

}  // namespace

Handle BFloat16Type() { return SixteenBitFloat(8, 127); }
Handle Float16Type() { return SixteenBitFloat(5, 15); }

Handle StringType() {
  Handle type(H5Tcopy(H5T_C_S1), "make a type", "HDF5");
  Check(H5Tset_size(type, H5T_VARIABLE), "make a type", "HDF5");
  Check(H5Tset_cset(type, H5T_CSET_UTF8), "make a type", "HDF5");
  return type;
}

void WriteAttribute(hid_t object, const std::string& name, const std::string& value) {
  const Handle type = StringType();
  const Handle space(H5Screate(H5S_SCALAR), "make a dataspace", name);
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                         "create attribute", name);
  const char* const text = value.c_str();
  Check(H5Awrite(attribute, type, &text), "write attribute", name);
}

void WriteAttribute(hid_t object, const std::string& name, int64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), "make a dataspace", name);
  const Handle attribute =
      HasAttribute(object, name)
          ? Handle(H5Aopen(object, name.c_str(), H5P_DEFAULT), "open attribute", name)
          : Handle(H5Acreate2(object, name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT),
                   "create attribute", name);
  Check(H5Awrite(attribute, H5T_NATIVE_INT64, &value), "write attribute", name);
}

bool HasAttribute(hid_t object, const std::string& name) {
  return H5Aexists(object, name.c_str()) > 0;
}

std::string ReadStringAttribute(hid_t object, const std::string& name, const std::string& where) {
  const Handle attribute = OpenAttribute(object, name, where);
  const Handle stored(H5Aget_type(attribute), "read attribute '" + name + "'", where);
  if (H5Tget_class(stored) != H5T_STRING) {
    throw Error("cannot read attribute '" + name + "'").At(where).Expected("a string");
  }
  if (H5Tis_variable_str(stored) > 0) {
    const Handle type = StringType();
    char* text = nullptr;
    Check(H5Aread(attribute, type, &text), "read attribute '" + name + "'", where);
    std::string value = text == nullptr ? "" : text;
    H5free_memory(text);
    return value;
  }
  std::string value(H5Tget_size(stored), '\0');
  Check(H5Aread(attribute, stored, value.data()), "read attribute '" + name + "'", where);
  value.resize(value.find_last_not_of('\0') + 1);
  return value;
}

int64_t ReadIntAttribute(hid_t object, const std::string& name, const std::string& where) {
  const Handle attribute = OpenAttribute(object, name, where);
  const Handle stored(H5Aget_type(attribute), "read attribute '" + name + "'", where);
  if (H5Tget_class(stored) != H5T_INTEGER && H5Tget_class(stored) != H5T_ENUM) {
    throw Error("cannot read attribute '" + name + "'").At(where).Expected("an integer");
  }
  int64_t value = 0;
  Check(H5Aread(attribute, H5T_NATIVE_INT64, &value), "read attribute '" + name + "'", where);
  return value;
}

std::vector<hsize_t> Shape(hid_t dataset, int rank, const std::string& where) {
  const Handle space(H5Dget_space(dataset), "read the shape", where);
  const int found = H5Sget_simple_extent_ndims(space);
  if (found != rank) {
    throw Error("a dataset has the wrong shape")
        .At(where)
        .Expected(std::to_string(rank) + " dimensions")
        .Found(std::to_string(found));
  }
  std::vector<hsize_t> sizes(rank);
  Check(H5Sget_simple_extent_dims(space, sizes.data(), nullptr), "read the shape", where);
  return sizes;
}

Handle SelectRows(hid_t dataset, hsize_t first, hsize_t count, const std::string& where) {
  Handle space(H5Dget_space(dataset), "read the shape", where);
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> sizes(rank), start(rank, 0);
  H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
  start[0] = first;
  sizes[0] = count;
  Check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, sizes.data(), nullptr),
        "select rows", where);
  return space;
}

}  // namespace extrospect::hdf5
