// 256 English words for reading digests aloud: common, of two syllables or more where possible, and no two so alike that
// one edit turns one into the other. The order is part of the format: it must never change.
const WORDS = `
acorn album alpine amber anchor angel antler apple apron arctic atlas autumn avocado bagpipe bamboo banjo
barley basket beacon beetle bicycle biscuit blanket blossom bonfire bracelet breakfast bridge bronze
bucket buffalo button cabbage cactus camel candle canyon caramel carpet castle cathedral cello cherry
chimney chocolate cinnamon circus citron clarinet clover coconut compass copper coral cotton cradle
cricket crystal cucumber curtain cyclone daffodil dancer desert diamond dinner dolphin domino donkey
dragon drummer dungeon eagle eclipse elbow elephant emerald engine envelope evening fabric falcon feather
fiddle finger firefly flamingo forest fossil freckle furnace galaxy garlic gazelle giraffe glacier goblet
gondola gorilla grape gravel guitar hammer harbour hazelnut hedgehog helmet heron honey horizon hurdle
iceberg igloo indigo insect iris ivory jaguar jasmine jellyfish jigsaw jungle juniper kangaroo kayak
kennel kettle kingdom kitchen koala ladder lagoon lantern lavender lemon leopard lettuce library
lighthouse lilac lizard lobster magnet mandolin marble meadow midnight mirror mosaic mountain muffin
mushroom mustard napkin necklace nectar needle nightingale noodle north nutmeg oasis ocean octopus olive
onion opera orchard ostrich otter paddle panda papaya parrot peacock pebble pelican pepper piano picnic
pigeon pillow pirate planet plum pocket polar pretzel prism pumpkin puzzle pyramid quarry quartz quiver
rabbit radio raspberry ribbon river robin rooster rubber ruby saffron salmon sandal sapphire saturn scarf
school sculptor seagull shadow shepherd silver snowflake sparrow spinach squirrel sunset swallow tangerine
teapot temple thistle thunder tiger toboggan tomato tornado trumpet tulip turtle umbrella unicorn valley
vanilla velvet village violin volcano vulture walnut walrus waterfall weasel whisper window winter yacht
yellow yogurt zebra zeppelin zigzag
`
  .trim()
  .split(/\s+/);

/** Word `n` stands for byte `n`. */
export const PHRASE_WORDS: readonly string[] = WORDS;
