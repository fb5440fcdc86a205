"""Everyday words that firms also take for names; alone they name nobody."""

from __future__ import annotations

_WORDS = """
accent access accord acorn active actor advance agency air alliance alpha alphabet amazon amber
anchor angel angle ant anthem anvil anvils apex apple april arc arch arena argo ark arm armour
arrow ash aspect aspen asset atlas atom august aura autumn avenue axe axis badger bag balance ball
band bank banner bar bark barn base basin bat bath battery bay beach beacon beam bean bear beaver
bee bell belt bench berry best beta big bird bishop bit black blade block bloom blue board boat
bolt bond bone book boot boots boss bottle bow bowl box branch brand brave bread break breeze brick
bridge bright broad brook brother brothers brown brush bubble bucket bud builder builders bull
bullet bureau burn bush butter button buy buyer cable cactus camel camp canal candle cannon canvas
cap capital captain car carbon card cargo carpenter carrier cart case castle cat catalyst
caterpillar cave cedar cell central centre chain chair challenge champion channel charge chase
check cherry chess chest chief chisel choice church circle citizen city clam clamp clarity classic
clay clean clear cliff clock close cloud clover club coach coal coast cobalt cobra coil coin cold
collar comet comfort command common compass concord condor cone connect constant contact control
cook cool copper coral core cork corn corner cosmos cotton counter country court cove cover craft
crane cream creek crest crew cross crow crown crystal cube cup current curve cut cyber daisy dart
data dawn day dean deck deep deer delta depot desert design desk dial diamond digital direct
discover dish dispatch dive dock dolphin domain dome door dot dove down dragon dream dress drill
drive drum duck dune dust dynamic eagle early earth east easy echo eclipse edge elder electric
element elm ember emerald empire endeavour energy engine enterprise entry envoy epic epoch equal
era essence ever everest evergreen every exact excel exchange express extra eye fabric factor fair
falcon family farm fast feather fern ferry fiber fidelity field fig file fin finch fire first fish
fit flag flame flare flash fleet flex flint float flow flower fly focus foot force ford forest
forge form fort forward fossil foundation foundry fountain fox frame free fresh friend front
frontier frost fuel full fusion future gain galaxy game gap garden gate gear gem general genesis
gentle giant glacier glass global globe gold golden good grand granite grape graph grass gravity
great green grey grid grip ground group grove guardian guide gulf hall halo hammer hand handle
harbour hard hare harmony harp harrow harvest haven hawk hazel head heart heat heath heather hedge
helix helm hercules heritage hero heron high hill hive hold holly home honest honey hook hope
horizon horn horse host hotel house hub human hunt hunter ice icon ideal impact imperial index
indigo industry infinity ink inn insight integral iris iron island ivory ivy jack jaguar jasmine
jay jet jewel join jolly joy jump juniper jupiter just key keystone kind king kite knight label
labour lake lamp land landmark lane lantern lark laser latitude laurel lava lead leader leaf league
leap legacy lemon lens level liberty life lift light lightning lily lime line link lion liquid
little local lock lodge loft logic long loop lotus love loyal lucid luna lynx magic magnet main
maker makers mallet mango mantle maple marble march mariner mark marker market marlin marsh mason
master match matrix matter maximum may mayor meadow medal mega mercury meridian merit mesa meta
meteor metro mill millennium mind mine mint mirror mission mistral model modern moment monarch
monitor monument moon moss motion motor mount mountain mule mustang mutual nail native natural
nature nautilus navigator neon nest net network new next nexus night nile noble node nomad noon
north northern nova now oak oasis oat object ocean octagon octopus old olive olympic omega one onyx
opal open optimum oracle orange orbit orchard orchid order origin orion otter outlook oval owl
oxford oyster pace pacific palm panda panel panther paper parade parallel park partner partners
patch path peach peak pear pearl pebble pelican penguin peninsula people pepper perfect petal
phoenix piano pier pigeon pike pilot pine pinnacle pioneer pipe pixel place plain plan plane planet
plant platform platinum play plaza plum plus point polar polaris pole polo pond pony pool poplar
poppy port portal post power prairie precision premier present prestige primary prime princess
prism pro process profile progress project promise proof prospect prosper provident pulse puma pure
puzzle quality quantum quarry quartz quay queen quest quick quiet rabbit radar radius rail rain
rainbow ranger rapid raven ray reach reality reason red reed reef reflex regal regent region relay
reliable reliance remedy renown republic rescue resolute response rest result ridge right ring rise
rival river road robin rock rocket rope rose round route rover royal ruby rule run rush saber sable
safe saffron sage sail salmon salt sand sapphire saturn save savvy saw scale scarlet scope scout
screen screw sea seal season second select sell senator sense sentinel sequoia service seven shade
shadow shape shark sharp shed shell shelter shield shift ship shore shuttle side sierra sign signal
signature silk silver simple simplex single site six sky slate sleek small smart smith snap snow
socket sol solar solid solution solutions sonic soul sound source south southern spa space spark
sparrow spear spectrum speed sphere spice spider spin spirit splash spot spring sprint spruce
square stable stack staff stage standard staple star stark start state station steel stellar stem
step sterling stone storm stream street strength stride stripe strong studio summit sun sunrise
super superior supreme sure surge swan sweet swift switch sword symbol synergy system table talent
tango tank tap target task team tech temple tempo ten tender terra test texture thistle thread
thrive thunder tide tiger tiller timber time titan together token tomorrow tool tools top topaz
torch total touch tower town toy track trade trail train transit travel treasure tree trek triangle
tribe tribune trident trinity triumph true trust tulip tundra turbo turn twin two ultra umbrella
union unique unit united unity universal universe urban utility valiant valley value van vanguard
vantage vault vector vegas velocity venture venus verge verity victor victory view viking villa
village vine vintage violet viper virgin virtual virtue visa vise vision vista vital vivid voice
volt volume vortex voyage voyager wagon walk wall walnut warp watch water wave way web wedge well
west western whale wheel whirlpool white whole wick wide wild willow win wind window wing winner
winter wire wise wolf wonder wood word work works world wrench yard yellow yes young zebra zenith
zero zest zone
"""

#: Lower case, singular or as a name uses it.
ORDINARY = frozenset(_WORDS.split())
