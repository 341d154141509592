"""U-Net: the paper's network, on pictures that it never saw."""

PAPERS = {
  'unet': dict(
    title="U-Net; the paper's network.",
    published=('none on Cityscapes or VOC',),
    theirs=dict(
      optimizer=('SGD, momentum 0.99', 'U-Net 3'),
      initial_weights=('fresh', 'U-Net 3'),
      pictures=('biomedical pictures', 'U-Net 4'),
      batch=('1', 'U-Net 3'),
      augmentation=(
        'shift, rotation, grey values, elastic deformation',
        'U-Net 3',
      ),
      batch_norm=('none', 'U-Net 2'),
      head=('none', 'U-Net 2'),
      decoder=('U-Net of 512, 256, 128, 64', 'U-Net 2'),
      loss=('cross entropy', 'U-Net 3'),
      loss_over=('pixels by a map of weights', 'U-Net 3'),
      class_weights=('by frequency, in that map', 'U-Net 3'),
      eval_input=('overlapping tiles', 'U-Net 2'),
    ),
    reasons=dict(
      pictures='The config is there for a comparison on street scenes.',
      batch="Crops are the DeepLabs', and so is their number.",
      augmentation='Microscopes have no up and down, streets have.',
      loss_over='The map keeps touching cells apart; there are none.',
      class_weights='As for the DeepLabs that it is compared with.',
      eval_input='Convolutions are padded: one tile is the picture.',
    ),
  ),
}
