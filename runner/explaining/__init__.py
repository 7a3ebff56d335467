"""What a trained network does with an image: pure functions of a network and arrays, whose results figures draw."""
