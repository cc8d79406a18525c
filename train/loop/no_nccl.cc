#include "train/loop/nccl.h"

namespace extrospect::nccl {

const bool kBuiltIn = false;

struct Communicator::Impl {};

// Never called: see kBuiltIn.
Communicator::Communicator(const Ranks&, at::Device) {}
Communicator::~Communicator() = default;
void Communicator::Sum(const at::Tensor&) {}

}  // namespace extrospect::nccl
