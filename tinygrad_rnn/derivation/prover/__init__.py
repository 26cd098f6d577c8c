"""Whether a stated gradient equation is the derivative, for every length and size, and the proof on paper."""
