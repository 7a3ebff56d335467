"""Operations on arrays with derivatives of their own, where XLA's are slow: below the layers, which know windows."""
