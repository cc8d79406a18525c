// What the small decoder's network begins as, and where it puts words that it never saw.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "decode/small_network.h"

namespace extrospect {

// Values of all tensors of the shape, by name: those that are `given` ("mean", "scale", "project"
// and "mixing", which are fixed) and random ones, each the same whatever others there are. Token
// embeddings come in with about unit variance, and so do the coordinates.
std::map<std::string, at::Tensor> InitialTensors(const SmallShape& shape,
                                                 const std::map<std::string, at::Tensor>& given,
                                                 uint64_t seed, at::Device device);

// Words start where their training rows lie on average, so that the network begins as a
// nearest-mean reading of the coordinates and learns from there. word_ids [words] int64,
// coordinates [n, rank], word_targets [n, words]; `embedding` [vocabulary, width] is changed in
// place.
void PlaceWords(at::Tensor embedding, const at::Tensor& word_ids, const at::Tensor& coordinates,
                const at::Tensor& word_targets);

// Words without a training example have nothing of their own, and what they take from their
// neighbours averages out to less than what trained words are. Gives those that are `unseen`
// [words] bool the direction that their neighbours say, at `scale` times the mean length of trained
// words. Changes the network's embedding in place.
void PlaceUnseenWords(const SmallNetwork& network, const at::Tensor& word_ids,
                      const at::Tensor& unseen, double scale);

}  // namespace extrospect
